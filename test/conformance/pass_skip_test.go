package conformance

// PassRules is the skip table of a run through the pass: what LaterRules has,
// and commands on modules that share a table, memory or global with another
// module, one that our engine refuses by name. (It counts the refused modules
// themselves, and commands on them, as unsupported.) Of our instances each has
// all its state to itself: a thread's.
var PassRules = func() map[string]string {
	rules := map[string]string{
		"v2/data.json:89": constGlobals,
		"v2/data.json:93": constGlobals,
	}
	for _, key := range sharing {
		rules[key] = "looks at what a refused module did to a shared table, memory or global"
	}
	for key, why := range LaterRules {
		rules[key] = why
	}
	return rules
}()

var sharing = []string{
	"v1/elem.json:366", "v1/elem.json:367", "v1/elem.json:379", "v1/elem.json:380", "v1/elem.json:381",
	"v1/linking.json:172", "v1/linking.json:173", "v1/linking.json:175", "v1/linking.json:178", "v1/linking.json:179", "v1/linking.json:181", "v1/linking.json:288", "v1/linking.json:289", "v1/linking.json:387", "v1/linking.json:388",
	"v2/elem.json:598", "v2/elem.json:599", "v2/elem.json:611", "v2/elem.json:612", "v2/elem.json:613", "v2/elem.json:668",
	"v2/linking.json:209", "v2/linking.json:210", "v2/linking.json:212", "v2/linking.json:215", "v2/linking.json:216", "v2/linking.json:218", "v2/linking.json:275", "v2/linking.json:288", "v2/linking.json:349", "v2/linking.json:350", "v2/linking.json:406", "v2/linking.json:407", "v2/linking.json:419", "v2/linking.json:452", "v2/linking.json:453",
	"typed-function-references/elem.json:958", "typed-function-references/elem.json:959", "typed-function-references/elem.json:971", "typed-function-references/elem.json:972", "typed-function-references/elem.json:973", "typed-function-references/elem.json:1028",
	"typed-function-references/linking.json:361", "typed-function-references/linking.json:362", "typed-function-references/linking.json:364", "typed-function-references/linking.json:367", "typed-function-references/linking.json:368", "typed-function-references/linking.json:370", "typed-function-references/linking.json:427", "typed-function-references/linking.json:440", "typed-function-references/linking.json:523", "typed-function-references/linking.json:524", "typed-function-references/linking.json:580", "typed-function-references/linking.json:581", "typed-function-references/linking.json:593", "typed-function-references/linking.json:626", "typed-function-references/linking.json:627",
}

package conformance

// LaterRules is the skip table of a run with all features on: commands whose
// expectation a later version of the specification, or a proposal, reversed.
// Plain wazero passes each of them with the features of its suite alone.
var LaterRules = map[string]string{
	// 1.0 refused a module before any of it took effect; since bulk memory
	// segments are applied one by one, and the first that does not fit traps.
	"v1/elem.json:143":    segmentsApply,
	"v1/elem.json:152":    segmentsApply,
	"v1/elem.json:161":    segmentsApply,
	"v1/elem.json:170":    segmentsApply,
	"v1/elem.json:178":    segmentsApply,
	"v1/elem.json:186":    segmentsApply,
	"v1/elem.json:195":    segmentsApply,
	"v1/elem.json:203":    segmentsApply,
	"v1/elem.json:212":    segmentsApply,
	"v1/elem.json:220":    segmentsApply,
	"v1/elem.json:229":    segmentsApply,
	"v1/elem.json:237":    segmentsApply,
	"v1/linking.json:207": segmentsApply,
	"v1/linking.json:228": segmentsApply,
	"v1/linking.json:236": segmentsApply,
	"v1/linking.json:248": segmentsApply,
	"v1/linking.json:342": segmentsApply,
	"v1/linking.json:345": segmentsApply,
	"v1/linking.json:354": segmentsApply,

	"v1/func.json:493":              multiValue,
	"v1/func.json:497":              multiValue,
	"v1/type.json:53":               multiValue,
	"v1/type.json:57":               multiValue,
	"v1/unreached-invalid.json:539": multiValue,

	"v1/imports.json:318": "reference types allow more than one table",

	"v2/elem.json:171": constGlobals,
	"v2/elem.json:175": constGlobals,
}

// Reasons in LaterRules.
const (
	segmentsApply = "bulk memory applies segments one by one"
	multiValue    = "multi-value allows more than one result"
	constGlobals  = "a constant expression may read any immutable global before it"
)

// Package version holds the number of the release that this source is, or is
// becoming. It is the only place that says it.
package version

// Number is a semantic version without the v of its tag. Between releases it is
// the next one's with -dev.
const Number = "0.2.0-dev"

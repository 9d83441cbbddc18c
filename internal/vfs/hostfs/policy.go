package hostfs

import "fmt"

// A Policy says what a restore does with a host file that was open.
//
// In all of them the path must lead to the same type of file as before, with no
// symbolic link in it, and what the file was opened for must be allowed. O_CREAT,
// O_EXCL and O_TRUNC of the first open do not come again. Open directories must
// only be there: their size and times change with all that is done in them.
type Policy int

const (
	// Reopen opens the file that is there now, as long as it is not shorter
	// than what the guest has read and written of it: up to that point a
	// program takes the content for granted. So a copy on another machine
	// (other inode and times), a log that has grown and a file that the guest
	// itself wrote on in a life that was lost are all opened; one that was cut
	// is refused. Whatever differs is told by FS.Changes.
	Reopen Policy = iota

	// Strict refuses a file whose size, mtime or inode differs, and says which.
	// Restores on another machine are refused by that, as inodes differ.
	Strict

	// Stale opens no file: all that the guest does with one that was open gives
	// ESTALE. Files that it opens later are not concerned.
	Stale
)

var policyNames = [...]string{"reopen", "strict", "stale"}

// String is the policy's name on the command line.
func (p Policy) String() string {
	if p >= 0 && int(p) < len(policyNames) {
		return policyNames[p]
	}
	return fmt.Sprintf("Policy(%d)", int(p))
}

// ParsePolicy is the policy of that name.
func ParsePolicy(name string) (Policy, error) {
	for i, n := range policyNames {
		if n == name {
			return Policy(i), nil
		}
	}
	return 0, fmt.Errorf("policy %q: not one of reopen, strict, stale", name)
}

// Set makes a *Policy a flag.Value.
func (p *Policy) Set(name string) error {
	v, err := ParsePolicy(name)
	if err == nil {
		*p = v
	}
	return err
}

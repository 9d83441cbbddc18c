//go:build unix && !linux

package image

func renameNew(from, to string) error { return renameChecked(from, to) }

package store

import (
	"strings"
	"syscall"
)

// networkKinds are the file systems on which no store is opened, by a part of the name that statfs gives them.
var networkKinds = []string{"nfs", "smbfs", "afpfs", "webdav", "9p", "fuse", "virtiofs"}

// networkFS names the kind of network file system that the directory lies on; empty: none of them.
func networkFS(directory string) (string, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(directory, &stat); err != nil {
		return "", err
	}
	var name strings.Builder
	for _, c := range stat.Fstypename {
		if c == 0 {
			break
		}
		name.WriteByte(byte(c))
	}
	for _, kind := range networkKinds {
		if strings.Contains(strings.ToLower(name.String()), kind) {
			return name.String(), nil
		}
	}
	return "", nil
}

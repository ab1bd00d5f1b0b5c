package store

import "syscall"

// networkKinds are the file systems on which no store is opened, by the number that statfs gives them. virtiofs, the
// shared folders of virtual machines, is a FUSE.
var networkKinds = map[uint32]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xfe534d42: "SMB",
	0xff534d42: "CIFS",
	0x01021997: "9p",
	0x65735546: "FUSE",
}

// networkFS names the kind of network file system that the directory lies on; empty: none of them.
func networkFS(directory string) (string, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(directory, &stat); err != nil {
		return "", err
	}
	return networkKinds[uint32(stat.Type)], nil // #nosec G115 -- the number has 32 bits, whatever the type of the field
}

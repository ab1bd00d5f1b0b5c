package store

import "testing"

func TestFileSystemsOfTheNetworkAreKnown(t *testing.T) {
	for number, want := range map[uint32]string{
		0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x01021997: "9p", 0x65735546: "FUSE",
		0xef53: "", 0x58465342: "", 0x9123683e: "", 0x01021994: "", // ext4, XFS, btrfs, tmpfs
	} {
		if got := networkKinds[number]; got != want {
			t.Errorf("file system %#x is %q, want %q", number, got, want)
		}
	}
	if _, err := networkFS("/nosuch"); err == nil {
		t.Error("a directory that is not there has a file system")
	}
}

package guard_test

import (
	"net"
	"strings"
	"testing"

	"github.com/irdaemon/irdaemon/internal/guard"
)

func TestCheck(t *testing.T) {
	for address, why := range map[string]string{
		"127.0.0.1": "", "10.1.2.3": "", "1.1.1.1": "", "::1": "", "fd12:3456::1": "", "64:ff9b::808:808": "",
		"169.254.169.254": "link-local", "::ffff:169.254.169.254": "link-local", "fe80::1%lo": "link-local",
		"64:ff9b::a9fe:a9fe": "link-local", "2002:a9fe:a9fe::1": "link-local", "0.1.2.3": "unspecified", "::": "unspecified",
		"ff02::1": "multicast", "255.255.255.255": "broadcast", "fd00:ec2::254": "metadata", "::ffff:168.63.129.16": "metadata",
	} {
		err := guard.Check(net.JoinHostPort(address, "443"))
		if (err == nil) != (why == "") || err != nil && !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if guard.Check("name.example:443") == nil {
		t.Error("a name was taken for an address")
	}
}

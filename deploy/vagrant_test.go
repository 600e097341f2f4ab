package deploy

import (
	"regexp"
	"slices"
	"testing"

	"gomaild/internal/peertest"
)

// TestVagrantfile loads the Vagrantfile with a stand-in for Vagrant: it makes
// the stand's hosts, and the mail nodes get a disk to lie below DRBD.
func TestVagrantfile(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "ruby", "ruby")
	asked := peertest.Run(t, "", "ruby", "testdata/vagrant.rb", "./Vagrantfile")
	var hosts, disks []string
	for _, m := range regexp.MustCompile(`(?m)^(\S+) network private_network ip=192\.168\.11\.(\d+) `).FindAllStringSubmatch(asked, -1) {
		hosts = append(hosts, m[1]+" "+m[2])
	}
	for _, m := range regexp.MustCompile(`(?m)^(\S+) disk disk name=mail `).FindAllStringSubmatch(asked, -1) {
		disks = append(disks, m[1])
	}
	slices.Sort(hosts)
	want := []string{
		"backup 123", "ngx01 111", "ngx02 112", "postfix01 113", "postfix02 114", "postfix03 115", "pxc1 120", "pxc2 121", "pxc3 122",
	}
	if !slices.Equal(hosts, want) {
		t.Errorf("hosts %q, want %q", hosts, want)
	}
	if !slices.Equal(disks, nodes) {
		t.Errorf("disks for %q, want for %q", disks, nodes)
	}
}

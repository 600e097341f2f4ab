// Package deploy is the stand around gomaild: the pacemaker configuration, the
// Ansible playbook, the lab of three nodes, the packages. It holds no code of
// the program; its tests drive the tools of the field against what is shipped.
package deploy

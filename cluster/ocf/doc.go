// Package ocf is the resource agent ocf:gomaild:gomaild: gomaild itself, called by
// pacemaker through the link /usr/lib/ocf/resource.d/gomaild/gomaild with an action
// as its argument and parameters in the environment (OCF resource agent API 1.1).
//
// What it knows of the server comes over the control socket (cluster/control),
// which is not on the mount: the agent itself never touches the mail, so that a
// disk that hangs cannot hang it. Every question has the operation's timeout, less
// a part that the agent keeps to say why before pacemaker loses patience.
//
// The codes, and what pacemaker makes of them:
//
//	Success        all is as it should be; also after stop of what did not run
//	ErrGeneric     it runs and is not well, or did not start or stop
//	ErrArgs        the configuration file is wrong here, or names what is not here:
//	               the wrong mount, a missing certificate. Another node is tried
//	ErrUnimplemented  an action that this agent has not
//	ErrPerm        the agent may not do it
//	ErrInstalled   the configuration file is missing on this node. Another is tried
//	ErrConfigured  a parameter of the resource makes no sense, on any node; a stop
//	               passes over it
//	NotRunning     it does not run, and was stopped in order or never started
//
// A line on standard error that begins with "ocf-exit-reason:" is shown by pacemaker
// beside the failure.
package ocf

// Code is an exit status of the OCF resource agent API.
type Code int

// The codes.
const (
	Success          Code = 0
	ErrGeneric       Code = 1
	ErrArgs          Code = 2
	ErrUnimplemented Code = 3
	ErrPerm          Code = 4
	ErrInstalled     Code = 5
	ErrConfigured    Code = 6
	NotRunning       Code = 7
)

// Package control is what a running daemon tells over its control socket, and the
// client for it: `gomaild status`, the OCF agent, whoever watches.
//
// The socket speaks HTTP and lies in run_dir, outside of the mail root, so that it
// answers whatever the disk does. Only the user of the daemon and root may connect.
package control

import (
	"time"

	"gomaild/cluster"
)

// Name is the socket's, in run_dir.
const Name = "control"

// The paths. Each answers 200, or 503 with a line for each reason.
const (
	PathLive          = "/healthz/live"   // the process runs, and its listeners take connections
	PathReady         = "/healthz/ready"  // Status.Ready
	PathStatus        = "/status"         // Status as JSON
	PathProbeDisk     = "/probe/disk"     // a synced write to the mail root; waits until the disk is known to hang
	PathProbeDatabase = "/probe/database" // the database of the accounts answers
	PathRoute         = "/route"          // ?to=ADDRESS&from=ADDRESS: the way of mail, as JSON
	PathQueue         = "/queue"          // POST: what a person does to messages in the queue
	PathQueueList     = "/queue/list"     // POST: messages in the queue, an envelope a line
	PathQueueShow     = "/queue/show"     // POST: one message, a line with the envelope and the content
	PathLift          = "/account/lift"   // POST: end the hold of an account
)

// Phase is where a daemon is in its life.
type Phase string

// The phases.
const (
	Starting Phase = "starting"
	Serving  Phase = "serving"
	Stopping Phase = "stopping"
)

// Status is how a daemon is.
type Status struct {
	PID       int             `json:"pid"`
	Hostname  string          `json:"hostname"`
	Phase     Phase           `json:"phase"`
	Since     time.Time       `json:"since"`    // of the phase
	Ready     bool            `json:"ready"`    // serving, and nothing is wrong with the mail root
	Problems  []string        `json:"problems"` // why not
	Root      string          `json:"root"`
	Mount     *cluster.Mount  `json:"mount,omitempty"`
	Cluster   string          `json:"cluster,omitempty"`
	Start     *cluster.Record `json:"start,omitempty"` // epoch, node ...
	Listeners []Listener      `json:"listeners"`
	Sessions  int             `json:"sessions"`
	Snapshot  *Snapshot       `json:"snapshot,omitempty"` // nil where none is kept
}

// Snapshot is the node's own copy of the accounts.
type Snapshot struct {
	Age  float64 `json:"age_seconds"` // since the database was last seen to hold the same; -1 without a copy
	Used int64   `json:"used"`        // answers given from it since the start

	Usable bool `json:"usable"` // it is young enough to answer while the database does not
}

// Listener is an address that is served.
type Listener struct {
	Type    string `json:"type"`    // "imap"
	TLS     string `json:"tls"`     // "implicit", "starttls" or "none"
	Network string `json:"network"` // "tcp" or "unix"
	Address string `json:"address"`

	GreetDelay float64 `json:"greet_delay_seconds,omitempty"` // that its banner waits
}

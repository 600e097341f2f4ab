// Package queue keeps the messages that we owe somebody and makes attempts
// until each recipient is served or given up.
package queue

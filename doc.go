// Package gomaild is the root of the module. It holds no code, only the tests
// that keep the shape of the tree: who may import whom (layers_test.go), that
// every package and exported name says what it is for (docs_test.go), and that
// what is forbidden everywhere stays away (rules_test.go).
package gomaild

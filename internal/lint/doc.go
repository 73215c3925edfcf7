// Package lint holds the tests that keep the house in shape: the strata test
// (imports go down only, every package is listed with its reason) and the shape
// ratchet (file, function and interface sizes, package pages, no init).
// It has no code of its own; run it with "make lint".
package lint

// Package tests tests what stands in deploy/.
package tests

// Package config reads the environment of a node. The tags of Config define every variable with its default, range and meaning.
// An invalid value or an unknown variable with our prefix stops the start; all problems are reported at once. Secrets never appear
// in errors or listings.
package config

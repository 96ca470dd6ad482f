// Package config reads the environment of a node: every variable, its default, its range and its meaning stand in one
// place, the tags of Config. A wrong value, or a variable that looks like ours and is not, stops the start with a
// message that names it; all problems are reported at once. Secrets never appear in messages or listings.
package config

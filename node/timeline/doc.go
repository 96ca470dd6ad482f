// Package timeline tells the story of one order from its journal, for people and for programs.
package timeline

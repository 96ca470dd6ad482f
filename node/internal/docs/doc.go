// Package docs tests the documents against the program: tests run each transcript in README.md and docs/*.md, compile each Go
// program, load each plan, and follow each link.
//
// The info string of a fence states its content:
//
//	console        a transcript: "$ " begins a command, the lines after it are what it prints, "…" stands for any lines
//	go PATH        a part of the file PATH of this repository, word for word
//	go, python     NAME: a file that the transcripts of the same document use
//	yaml           a plan
//	json           a value
//	sh             commands that no test runs: their make targets and files exist
//	no word        a drawing
//
// Times, durations, rates and generated names in transcripts may differ from the output of a run; everything else must be
// equal.
package docs

package main

import "context"

func (n *node) serve(context.Context) error { return nil }

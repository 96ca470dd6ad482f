// Package servicecheck calls a service as the engine does, with the engine's own gateway, and reports what came and whether the
// service keeps its side (docs/plans.md, "What a service must do").
//
// The calls are real: a check performs steps for test orders, and undoes them where the step has an undo. It sees answers only:
// an effect that happens twice and is answered once stays hidden.
package servicecheck

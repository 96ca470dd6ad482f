package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
)

func dbosOrder(ctx dbos.Context, _ string) (string, error) {
	for range steps {
		if _, err := dbos.RunAsStep(ctx, func(context.Context) (string, error) { return "", nil }); err != nil {
			return "", err
		}
	}
	return "", nil
}

// dbosEngine runs workflows in this process, in the Postgres database that DBOS_SYSTEM_DATABASE_URL names.
func dbosEngine(ctx context.Context) (engineFunc, func(), error) {
	c, err := dbos.NewContext(ctx, dbos.Config{
		DatabaseURL: os.Getenv("DBOS_SYSTEM_DATABASE_URL"), AppName: "comparison", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, nil, err
	}
	dbos.RegisterWorkflow(c, dbosOrder)
	if err := dbos.Launch(c); err != nil {
		return nil, nil, err
	}
	runOrder := func(_ context.Context, id string) error {
		handle, err := dbos.RunWorkflow(c, dbosOrder, "", dbos.WithWorkflowID(id))
		if err != nil {
			return err
		}
		_, err = handle.GetResult()
		return err
	}
	return runOrder, func() { dbos.Shutdown(c, 5*time.Second) }, nil
}

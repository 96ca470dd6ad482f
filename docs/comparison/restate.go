package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"

	restatesdk "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/ingress"
	"github.com/restatedev/sdk-go/server"
)

const serviceAddr = "127.0.0.1:9080"

// Orders is a Restate service.
type Orders struct{}

// Run runs an order.
func (Orders) Run(ctx restatesdk.Context, _ string) (string, error) {
	for range steps {
		if _, err := restatesdk.Run(ctx, func(restatesdk.RunContext) (string, error) { return "", nil }); err != nil {
			return "", err
		}
	}
	return "", nil
}

// restate serves the handler in this process, for a server at 127.0.0.1:8080 and 9070.
func restate(ctx context.Context) (engineFunc, func(), error) {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- server.NewRestate().WithLogger(slog.DiscardHandler, false).Bind(restatesdk.Reflect(Orders{})).Start(ctx, serviceAddr)
	}()
	end := func() { stop(); <-ended }
	body := bytes.NewReader([]byte(`{"uri": "http://` + serviceAddr + `", "force": true}`))
	response, err := http.Post("http://127.0.0.1:9070/deployments", "application/json", body)
	if err != nil {
		end()
		return nil, nil, err
	}
	_ = response.Body.Close()
	if response.StatusCode >= 300 {
		end()
		return nil, nil, fmt.Errorf("register the service: %s", response.Status)
	}
	orders := ingress.Service[string, string](ingress.NewClient("http://127.0.0.1:8080", ingress.WithHttpClient(&http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 1024},
	})), "Orders", "Run")
	runOrder := func(ctx context.Context, id string) error {
		_, err := orders.Request(ctx, "", restatesdk.WithIdempotencyKey(id))
		return err
	}
	return runOrder, end, nil
}

package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"go.yaml.in/yaml/v3"
)

// instructions returns the instructions of the Dockerfile, continued lines joined, without comments.
func instructions(t *testing.T) []string {
	t.Helper()
	var list []string
	joined := strings.ReplaceAll(read(t, "Dockerfile"), "\\\n", " ")
	for line := range strings.SplitSeq(joined, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	return list
}

// final returns the instructions of the last stage, which makes the image.
func final(t *testing.T) []string {
	t.Helper()
	all := instructions(t)
	for i := len(all) - 1; i >= 0; i-- {
		if strings.HasPrefix(all[i], "FROM ") {
			return all[i:]
		}
	}
	t.Fatal("the Dockerfile has no FROM")
	return nil
}

func exposed(t *testing.T) []string {
	t.Helper()
	for _, line := range final(t) {
		if ports, ok := strings.CutPrefix(line, "EXPOSE "); ok {
			return strings.Fields(ports)
		}
	}
	return nil
}

func TestImage(t *testing.T) {
	image := final(t)
	for _, want := range []string{"FROM scratch", "USER 65532:65532", "VOLUME /data", `ENTRYPOINT ["/orderly"]`} {
		if !slices.Contains(image, want) {
			t.Errorf("the image lacks %s", want)
		}
	}
	for _, line := range image {
		// The image has no shell.
		if strings.HasPrefix(line, "RUN ") || strings.HasPrefix(line, "ADD ") {
			t.Errorf("the last stage has %s", line)
		}
	}
	known := configured(t)
	for _, line := range image {
		if env, ok := strings.CutPrefix(line, "ENV "); ok {
			for pair := range strings.FieldsSeq(env) {
				if name, _, _ := strings.Cut(pair, "="); !slices.Contains(known, name) {
					t.Errorf("no node reads %s", name)
				}
			}
		}
	}
}

// TestImageStarts: a node refuses an HTTP address beyond the loopback without the promise, which the image explains.
func TestImageStarts(t *testing.T) {
	env := map[string]string{}
	for _, line := range final(t) {
		if pairs, ok := strings.CutPrefix(line, "ENV "); ok {
			for pair := range strings.FieldsSeq(pairs) {
				name, value, _ := strings.Cut(pair, "=")
				env[name] = value
			}
		}
	}
	if env["ORDERLY_HTTP_ADDR"] != "0.0.0.0:8080" || env["ORDERLY_HTTP_INSECURE"] != "true" {
		t.Errorf("the image sets %v", env)
	}
	if !regexp.MustCompile(`(?m)^# .*ORDERLY_HTTP_INSECURE=true promises`).MatchString(read(t, "Dockerfile")) {
		t.Error("no comment says what ORDERLY_HTTP_INSECURE promises")
	}
	for _, name := range composeFiles {
		if !strings.Contains(read(t, name), "# The image sets ORDERLY_HTTP_INSECURE=true:") {
			t.Errorf("%s does not say how it keeps the promise", name)
		}
	}
}

func TestImageBuild(t *testing.T) {
	text := strings.Join(instructions(t), "\n")
	for _, want := range []string{"CGO_ENABLED=0", "-trimpath", "-X github.com/orderly-engine/orderly/node/cli.version=$VERSION", "-X github.com/orderly-engine/orderly/node/cli.commit=$COMMIT", "./node/orderly"} {
		if !strings.Contains(text, want) {
			t.Errorf("the build lacks %s", want)
		}
	}
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../go.mod"))[1]
	if !strings.Contains(text, "golang:"+goVersion+" AS build") {
		t.Errorf("go.mod asks for Go %s, the Dockerfile builds with another", goVersion)
	}
}

// The build sees only what .dockerignore lets through.
func TestBuildContext(t *testing.T) {
	ignore := strings.Fields(read(t, "Dockerfile.dockerignore"))
	for _, want := range []string{"*", "!actors", "!ingress", "!messages", "!node", "!supervision", "!go.mod", "!go.sum"} {
		if !slices.Contains(ignore, want) {
			t.Errorf("Dockerfile.dockerignore lacks %s", want)
		}
	}
}

func TestNATSConfiguration(t *testing.T) {
	dir := prepare(t)
	passwords(t, dir)
	t.Setenv("NATS_SERVER_NAME", "nats-1")
	path := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(read(t, path), "/etc/nats/", dir+"/tls/")), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if opts.ServerName != "nats-1" || opts.Cluster.Name == "" || len(opts.Routes) != 3 {
		t.Errorf("name %q, cluster %q, %d routes", opts.ServerName, opts.Cluster.Name, len(opts.Routes))
	}
	if !opts.JetStream || opts.StoreDir != "/data" || !opts.SyncAlways {
		t.Errorf("JetStream %v in %s, sync always %v", opts.JetStream, opts.StoreDir, opts.SyncAlways)
	}
	services := load(t, "compose.cluster.yaml").Services
	for _, route := range opts.Routes {
		s, ok := services[route.Hostname()]
		if !ok || s.Environment["NATS_SERVER_NAME"] != route.Hostname() {
			t.Errorf("no service has the host name of route %s", route)
		}
	}
}

func TestPrometheusScrapesTheNode(t *testing.T) {
	var c struct {
		ScrapeConfigs []struct {
			StaticConfigs []struct {
				Targets []string `yaml:"targets"`
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "prometheus.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	services := load(t, "compose.yaml").Services
	targets := 0
	for _, job := range c.ScrapeConfigs {
		for _, group := range job.StaticConfigs {
			for _, target := range group.Targets {
				host, port, _ := strings.Cut(target, ":")
				s, ok := services[host]
				if !ok || !slices.Contains(exposed(t), port) {
					t.Errorf("target %s is not a port of a service", target)
				}
				if !slices.Contains(strings.Split(s.Environment["ORDERLY_HTTP_HOST_NAMES"], ","), host) {
					t.Errorf("target %s: the node does not answer requests for host %s", target, host)
				}
				targets++
			}
		}
	}
	if targets == 0 {
		t.Error("nothing is scraped")
	}
}

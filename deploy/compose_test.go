package deploy_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type compose struct {
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
}

type service struct {
	Image       string            `yaml:"image"`
	Build       *build            `yaml:"build"`
	User        string            `yaml:"user"`
	ReadOnly    bool              `yaml:"read_only"`
	CapDrop     []string          `yaml:"cap_drop"`
	CapAdd      []string          `yaml:"cap_add"`
	Privileged  bool              `yaml:"privileged"`
	SecurityOpt []string          `yaml:"security_opt"`
	Environment map[string]string `yaml:"environment"`
	Ports       []string          `yaml:"ports"`
	Volumes     []string          `yaml:"volumes"`
	DependsOn   map[string]any    `yaml:"depends_on"`
}

type build struct {
	Context    string `yaml:"context"`
	Dockerfile string `yaml:"dockerfile"`
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func load(t *testing.T, name string) compose {
	t.Helper()
	var c compose
	if err := yaml.Unmarshal([]byte(read(t, name)), &c); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(c.Services) == 0 {
		t.Fatalf("%s has no services", name)
	}
	return c
}

var composeFiles = []string{"compose.yaml", "compose.cluster.yaml"}

func TestContainersAreConfined(t *testing.T) {
	pinned := regexp.MustCompile(`:v?\d+\.\d+\.\d+`)
	for _, name := range composeFiles {
		for svc, s := range load(t, name).Services {
			fail := func(format string, args ...any) { t.Helper(); t.Errorf(name+": "+svc+": "+format, args...) }
			if !s.ReadOnly {
				fail("the root file system is writable")
			}
			if !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 || s.Privileged {
				fail("has capabilities")
			}
			if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
				fail("may gain privileges")
			}
			// The NATS image keeps its volume as root; see the comment there.
			if root := strings.HasPrefix(s.User, "0"); s.User == "" || root && !strings.HasPrefix(s.Image, "nats:") {
				fail("runs as root: user %q", s.User)
			}
			for _, port := range s.Ports {
				if !strings.HasPrefix(port, "127.0.0.1:") {
					fail("port %s is published beyond the loopback", port)
				}
			}
			if s.Build == nil && !pinned.MatchString(s.Image) {
				fail("image %q is not pinned", s.Image)
			}
		}
	}
}

func TestReferencesExist(t *testing.T) {
	prepared := prepare(t)
	for _, name := range composeFiles {
		c := load(t, name)
		for svc, s := range c.Services {
			if s.Build != nil {
				if _, err := os.Stat(s.Build.Context + "/" + s.Build.Dockerfile); err != nil {
					t.Errorf("%s: %s: %v", name, svc, err)
				}
			}
			for _, v := range s.Volumes {
				source, _, _ := strings.Cut(v, ":")
				if strings.HasPrefix(source, ".") {
					if _, err := os.Stat(made(source, prepared)); err != nil {
						t.Errorf("%s: %s: %v", name, svc, err)
					}
				} else if _, ok := c.Volumes[source]; !ok {
					t.Errorf("%s: %s: volume %s is not declared", name, svc, source)
				}
			}
			for dep := range s.DependsOn {
				if _, ok := c.Services[dep]; !ok {
					t.Errorf("%s: %s depends on %s, which is not a service", name, svc, dep)
				}
			}
			for _, port := range s.Ports {
				parts := strings.Split(port, ":")
				if inside := parts[len(parts)-1]; s.Build != nil && !slices.Contains(exposed(t), inside) {
					t.Errorf("%s: %s publishes %s, which the image does not expose", name, svc, inside)
				}
			}
		}
	}
}

// TestEnvironmentIsKnown finds misspelled variables, which a node would ignore.
func TestEnvironmentIsKnown(t *testing.T) {
	known := configured(t)
	for _, name := range composeFiles {
		for svc, s := range load(t, name).Services {
			if s.Build == nil {
				continue
			}
			for env := range maps.Keys(s.Environment) {
				if !slices.Contains(known, env) && !strings.HasPrefix(env, "OTEL_") {
					t.Errorf("%s: %s: no node reads %s", name, svc, env)
				}
			}
		}
	}
}

// configured lists the variables that a node reads, taken from the source: deploy imports none of the packages.
func configured(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, m := range regexp.MustCompile("`env:\"([A-Z0-9_]+)\"").FindAllStringSubmatch(read(t, "../node/server/config/config.go"), -1) {
		names = append(names, m[1])
	}
	if len(names) == 0 {
		t.Fatal("node/server/config/config.go names no variables")
	}
	return names
}

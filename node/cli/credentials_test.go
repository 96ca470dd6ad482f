package cli

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orderly-engine/orderly/messages/natstest"
)

// TestRefusedCredentialsStopTheStart: a node, and a client command, end at once with one line that says until when the credentials
// held, and what to do.
func TestRefusedCredentialsStopTheStart(t *testing.T) {
	t.Parallel()
	operator, other := natstest.NewOperator(t), natstest.NewOperator(t)
	ended := time.Now().Add(-3 * time.Hour).Truncate(time.Second)
	jwts := natstest.Start(t, operator.Trusted)
	passwords := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "bob", "s3cret" })
	wrong := strings.Replace(passwords.ClientURL(), "nats://", "nats://bob:wr0ng@", 1)
	for name, c := range map[string]struct {
		environ []string
		want    string
	}{
		"expired":        {[]string{"NATS_URL=" + jwts.ClientURL(), "NATS_CREDS=" + operator.Creds(ended)}, `NATS_CREDS \(held until ` + ended.UTC().Format(time.RFC3339) + `, 3h0m\d+s ago\): issue new ones`},
		"of another":     {[]string{"NATS_URL=" + jwts.ClientURL(), "NATS_CREDS=" + other.Creds(time.Time{})}, `NATS_CREDS \(without expiry\): check that`},
		"none":           {[]string{"NATS_URL=" + jwts.ClientURL()}, `asks for credentials: set NATS_CREDS or NATS_NKEY`},
		"no password":    {[]string{"NATS_URL=" + passwords.ClientURL()}, `asks for credentials`},
		"wrong password": {[]string{"NATS_URL=" + wrong}, `NATS at nats://\*\*\*@127\.0\.0\.1:\d+ refuses the user, password or token in NATS_URL: correct it`},
		"no TLS":         {[]string{"NATS_URL=" + strings.Replace(passwords.ClientURL(), "nats://", "tls://bob:s3cret@", 1)}, `has no TLS`},
	} {
		p := startNoWait(t, nil, c.environ...)
		code, line := p.wait(t), lastLine(p.err.String())
		if code != exitFailed || !regexp.MustCompile("^orderly: .*"+c.want).MatchString(line) || strings.Contains(p.err.String(), "retrying") {
			t.Errorf("%s: exit code %d: %s", name, code, p.err)
		}
		got := command(t, c.environ, "", "list")
		if got.code != exitFailed || !regexp.MustCompile("^orderly: .*"+c.want+".*\n$").MatchString(got.err) {
			t.Errorf("%s: list: exit code %d: %s", name, got.code, got.err)
		}
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestExpiredCertificateStopsTheStart: the same for a client certificate.
func TestExpiredCertificateStopsTheStart(t *testing.T) {
	t.Parallel()
	certificates := natstest.NewCertificates(t)
	s := natstest.Start(t, func(o *server.Options) { o.TLS, o.TLSVerify, o.TLSConfig = true, true, certificates.Server(t, true) })
	files := map[string]string{}
	cert, key := certificates.Client(time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC))
	for name, contents := range map[string][]byte{"ca": certificates.CA, "cert": cert, "key": key} {
		files[name] = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(files[name], contents, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := startNoWait(t, nil, "NATS_URL="+s.ClientURL(), "NATS_TLS_CA="+files["ca"], "NATS_TLS_CERT="+files["cert"], "NATS_TLS_KEY="+files["key"])
	if code := p.wait(t); code != exitFailed || !strings.Contains(p.err.String(), "NATS_TLS_CERT (held until 2020-01-02T03:04:05Z, ") {
		t.Errorf("exit code %d: %s", code, p.err)
	}
}

// TestExpiredWhileRunning: a running node says until when its credentials held, and continues when the file is replaced.
func TestExpiredWhileRunning(t *testing.T) {
	t.Parallel()
	operator := natstest.NewOperator(t)
	s := natstest.Start(t, operator.Trusted)
	file := operator.Creds(time.Time{})
	p := start(t, nil, "NATS_URL="+s.ClientURL(), "NATS_CREDS="+file)
	s.Stop()
	operator.WriteCreds(file, time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC))
	s.Start()
	logged := regexp.MustCompile(`"msg":"NATS refuses this node, trying again; replaced files[^"]+".*NATS_CREDS \(held until 2020-01-02T03:04:05Z, `)
	eventually(t, "the refusal is logged", func() (bool, any) { return logged.MatchString(p.err.String()), p.err })
	eventually(t, "/health says so", func() (bool, any) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.http+"/health", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, err
		}
		defer http.DefaultClient.CloseIdleConnections()
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return err == nil && answer.StatusCode == 503 && strings.Contains(string(body), "NATS is not connected: NATS at nats://") && strings.Contains(string(body), "held until 2020-01-02T03:04:05Z"), string(body)
	})
	operator.WriteCreds(file, time.Time{})
	eventually(t, "the node is back", func() (bool, any) { return strings.Contains(p.err.String(), "NATS reconnected"), p.err })
	p.stop()
	if code := p.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

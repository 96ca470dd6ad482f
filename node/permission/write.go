package permission

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WriteRole writes the permissions of one role, for a user of nats-server.
func WriteRole(w io.Writer, role Role, u Uses) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: the permissions of a user in the account %s. Written by \"orderly permissions --role %[1]s\".\n", role, role.Account())
	writePermissions(&b, "", role, u)
	_, err := io.WriteString(w, b.String())
	return err
}

// Write writes the accounts, with a user for each role. A service without calls is left out.
func Write(w io.Writer, u Uses) error {
	var b strings.Builder
	b.WriteString(`# The accounts of Orderly and a user for each role. Written by "orderly permissions".
# The server takes the passwords from its environment. Add users as needed, each with the permissions of its role.
accounts {
  # The streams, and the users that are trusted with them.
  ` + streamsAccount + ` {
    jetstream: enabled
    users: [
`)
	for _, role := range Roles() {
		if role.Account() == streamsAccount && (role != Service || len(u.Calls) > 0) {
			writeUser(&b, role, u)
		}
	}
	b.WriteString("    ]\n    exports: [\n")
	for _, role := range Roles() {
		if role.Account() != streamsAccount {
			for _, subject := range Of(role, u).Published(Engine.api) {
				fmt.Fprintf(&b, "      { service: %s%s, accounts: [%s] }\n", strconv.Quote(subject), responses(subject), role.Account())
			}
		}
	}
	b.WriteString("    ]\n  }\n")
	for _, role := range Roles() {
		if role.Account() != streamsAccount {
			writeClients(&b, role, u)
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// responses is the option of an export that has several replies to a request.
func responses(subject string) string {
	if strings.HasSuffix(subject, directGet) {
		return ", response_type: stream"
	}
	return ""
}

// writeClients writes the account of a role that reaches the streams through imports.
func writeClients(b *strings.Builder, role Role, u Uses) {
	fmt.Fprintf(b, "  # No streams: what a server answers on a reply subject of its users is stored nowhere.\n  %s {\n    users: [\n", role.Account())
	writeUser(b, role, u)
	b.WriteString("    ]\n    imports: [\n")
	local := Published(role, u)
	for i, subject := range Of(role, u).Published(Engine.api) {
		to := ""
		if local[i] != subject {
			to = ", to: " + strconv.Quote(local[i])
		}
		fmt.Fprintf(b, "      { service: { account: %s, subject: %s }%s }\n", streamsAccount, strconv.Quote(subject), to)
	}
	b.WriteString("    ]\n  }\n")
}

func writeUser(b *strings.Builder, role Role, u Uses) {
	fmt.Fprintf(b, "      { user: %s, password: $ORDERLY_%s_PASSWORD,\n", role, strings.ToUpper(string(role)))
	writePermissions(b, "        ", role, u)
	b.WriteString("      }\n")
}

func writePermissions(b *strings.Builder, indent string, role Role, u Uses) {
	list := func(name string, subjects []string) {
		if len(subjects) == 0 {
			fmt.Fprintf(b, "%s  %s: { deny: \">\" }\n", indent, name)
			return
		}
		fmt.Fprintf(b, "%s  %s: { allow: [\n", indent, name)
		for _, subject := range subjects {
			fmt.Fprintf(b, "%s    %s\n", indent, strconv.Quote(subject))
		}
		fmt.Fprintf(b, "%s  ] }\n", indent)
	}
	fmt.Fprintf(b, "%spermissions: {\n", indent)
	list("publish", Published(role, u))
	p := Of(role, u)
	list("subscribe", p.Subscribe)
	if p.Respond {
		fmt.Fprintf(b, "%s  allow_responses: true\n", indent)
	}
	fmt.Fprintf(b, "%s}\n", indent)
}

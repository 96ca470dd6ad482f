package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orderly-engine/orderly/messages"
)

// ErrChanged is wrapped by the error of CheckUnchanged.
var ErrChanged = errors.New("is registered with other content")

const (
	// maxChanges bounds the changes that an error lists.
	maxChanges = 8
	// maxShown bounds the characters of a text in one.
	maxShown = 100
)

// CheckUnchanged returns an error unless given means the same as the plan registered under its name and version, with defaults
// on both sides. The error wraps ErrChanged, lists the fields that differ by step, and contains no query of a URL.
func CheckUnchanged(registered, given *messages.Plan) error {
	registered, given = WithDefaults(registered), WithDefaults(given)
	if proto.Equal(registered, given) {
		return nil
	}
	all := planDiff(registered, given)
	if len(all) == 0 {
		all = []string{"it has fields that this version does not know"}
	}
	if more := len(all) - maxChanges; more > 0 {
		all = append(all[:maxChanges], fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("plan %s v%d %w (%s): raise the version of the changed plan, or restore what is registered; accepted orders keep the plan they have",
		given.GetName(), given.GetVersion(), ErrChanged, strings.Join(all, "; "))
}

// planDiff lists the differences, a phrase for each.
func planDiff(before, after *messages.Plan) []string {
	var all []string
	known := map[string]*messages.Step{}
	for _, s := range before.GetSteps() {
		known[s.GetName()] = s
	}
	var kept []string
	for _, s := range after.GetSteps() {
		old := known[s.GetName()]
		if old == nil {
			all = append(all, "step "+s.GetName()+" is new")
			continue
		}
		kept = append(kept, s.GetName())
		delete(known, s.GetName())
		for _, c := range fieldDiff("", old.ProtoReflect(), s.ProtoReflect()) {
			all = append(all, "step "+s.GetName()+": "+c)
		}
	}
	var stay []string
	for _, s := range before.GetSteps() {
		if known[s.GetName()] != nil {
			all = append(all, "step "+s.GetName()+" is removed")
		} else {
			stay = append(stay, s.GetName())
		}
	}
	if !slices.Equal(stay, kept) {
		all = append(all, fmt.Sprintf("order of the steps: %s → %s", strings.Join(stay, ", "), strings.Join(kept, ", ")))
	}
	return all
}

// fieldDiff compares all fields by reflection, so that new fields are included.
func fieldDiff(prefix string, before, after protoreflect.Message) []string {
	var all []string
	fields := before.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		name := prefix + field.TextName()
		b, a := before.Get(field), after.Get(field)
		if b.Equal(a) {
			continue
		}
		if field.Message() != nil && field.Message().FullName() != (*durationpb.Duration)(nil).ProtoReflect().Descriptor().FullName() {
			all = append(all, fieldDiff(name+".", b.Message(), a.Message())...)
			continue
		}
		was, is := formatValue(field, b), formatValue(field, a)
		if was == is {
			all = append(all, name+": what is not shown of "+was+" differs")
			continue
		}
		all = append(all, name+": "+was+" → "+is)
	}
	return all
}

// formatValue formats a value as in a plan file.
func formatValue(field protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch {
	case field.IsList():
		return formatCodes(v.List())
	case isTarget(field):
		return DisplayTarget(v.String())
	}
	switch field.Kind() {
	case protoreflect.MessageKind:
		return v.Message().Interface().(*durationpb.Duration).AsDuration().String()
	case protoreflect.EnumKind:
		word := string(field.Enum().Values().ByNumber(v.Enum()).Name())
		return strings.ToLower(strings.TrimPrefix(word, strings.ToUpper(field.TextName())+"_"))
	case protoreflect.StringKind:
		return formatText(v.String())
	}
	return fmt.Sprint(v.Interface())
}

// isTarget reports whether a field is the URL of a call.
func isTarget(field protoreflect.FieldDescriptor) bool {
	return field.ContainingMessage().Name() == "Step" && (field.Name() == "do" || field.Name() == "undo")
}

func formatCodes(list protoreflect.List) string {
	var all []string
	for i := range list.Len() {
		all = append(all, list.Get(i).String())
	}
	return formatText(strings.Join(all, ", "))
}

// formatText is a text of a plan in one line, of maxShown characters at most.
func formatText(s string) string {
	if s == "" {
		return "none"
	}
	short := []rune(strings.Join(strings.Fields(s), " "))
	if len(short) > maxShown {
		short = append(short[:maxShown], '…')
	}
	return string(short)
}

// DisplayTarget is a target for people: without the query of a call over HTTP, which may hold a secret, or none.
func DisplayTarget(s string) string {
	_, _, named := Named(s)
	switch {
	case s == "":
		return "none"
	case named, strings.HasPrefix(s, "http"):
		if path, _, cut := strings.Cut(s, "?"); cut {
			s = path + "?…"
		}
	}
	return s
}

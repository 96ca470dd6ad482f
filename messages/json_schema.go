package messages

import (
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// jsonMessage is a message type as its JSON form needs it.
type jsonMessage struct {
	// fields are in the order of their numbers.
	fields []jsonField
	// byName has them by their names in JSON, of both forms that are read: order_id and orderId.
	byName map[string]*jsonField
	// hasText: a field of it, or of a message in it, holds JSON text.
	hasText bool
	// foreign: a type of protobuf itself, such as Timestamp, whose JSON form is its own.
	foreign bool
}

// jsonField is one field.
type jsonField struct {
	protoreflect.FieldDescriptor
	// key is the name in JSON, with quotes and colon.
	key string
	// text: the string, or every value of the map, holds JSON text.
	text bool
	// message is the type of the field, or of its elements or values, if that is a message.
	message *jsonMessage
}

// jsonMessages caches each *jsonMessage by its descriptor.
var jsonMessages sync.Map

func jsonMessageOf(d protoreflect.MessageDescriptor) *jsonMessage {
	if m, ok := jsonMessages.Load(d); ok {
		return m.(*jsonMessage)
	}
	m := &jsonMessage{foreign: d.ParentFile().Package() == "google.protobuf"}
	if !m.foreign {
		m.addFields(d.Fields())
	}
	stored, _ := jsonMessages.LoadOrStore(d, m)
	return stored.(*jsonMessage)
}

func (m *jsonMessage) addFields(all protoreflect.FieldDescriptors) {
	m.fields, m.byName = make([]jsonField, all.Len()), make(map[string]*jsonField, 2*all.Len())
	for i := range m.fields {
		d := all.Get(i)
		f := jsonField{FieldDescriptor: d, key: `"` + d.TextName() + `":`}
		options, _ := d.Options().(*descriptorpb.FieldOptions)
		f.text = proto.GetExtension(options, E_Json).(bool)
		value := d
		if d.IsMap() {
			value = d.MapValue()
		}
		if value.Message() != nil {
			f.message = jsonMessageOf(value.Message())
		}
		m.hasText = m.hasText || f.text || f.message != nil && f.message.hasText
		m.fields[i] = f
	}
	slices.SortFunc(m.fields, func(a, b jsonField) int { return int(a.Number() - b.Number()) })
	for i := range m.fields {
		f := &m.fields[i]
		m.byName[f.JSONName()], m.byName[f.TextName()] = f, f
	}
}

package journal

// Unmarshal decodes an entry as a read does.
var Unmarshal = unmarshal

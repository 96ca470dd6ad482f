package journal

// Unmarshal decodes an entry as a read does.
var Unmarshal = unmarshal

// Published types an error of the client library's publish.
var Published = published

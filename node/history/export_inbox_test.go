package history

// MaxLooked is maxLooked.
const MaxLooked = maxLooked

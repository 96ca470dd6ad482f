package cli

import "fmt"

// maxFailed is how many failures are told one by one.
const maxFailed = 10

// failures are what went wrong with one of many; the first few are told, the others counted.
type failures struct {
	n    int
	told []error
}

func (f *failures) add(err error) {
	if f.n++; f.n <= maxFailed {
		f.told = append(f.told, err)
	}
}

// errors are the failures as they are told.
func (f *failures) errors() []error {
	if more := f.n - len(f.told); more > 0 {
		return append(f.told, fmt.Errorf("and %d more", more))
	}
	return f.told
}

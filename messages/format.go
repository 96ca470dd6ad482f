package messages

import "strconv"

// FormatAmount writes an amount in units of the currency with as many digits as the currency has (ISO 4217); two for
// a currency that is not known.
func FormatAmount(units float64, currency string) string {
	digits, ok := minorDigits[currency]
	if !ok {
		digits = 2
	}
	return strconv.FormatFloat(units, 'f', int(digits), 64)
}

package messages

import (
	"math"
	"strconv"
)

// FormatAmount writes an amount in units of the currency with as many digits as the currency has (ISO 4217); two for
// a currency that is not known.
func FormatAmount(units float64, currency string) string {
	digits, ok := minorDigits[currency]
	if !ok {
		digits = 2
	}
	return strconv.FormatFloat(units, 'f', int(digits), 64)
}

// FormatMinor writes an amount in minor units of the currency as FormatAmount does.
func FormatMinor(minor int64, currency string) string {
	digits, ok := minorDigits[currency]
	if !ok {
		digits = 2
	}
	return FormatAmount(float64(minor)/powersOfTen[digits], currency)
}

// Minor converts an amount in units of the currency to the nearest minor unit; two digits for a currency that is not
// known. It reports false when the amount is beyond the range in which minor units are exact.
func MinorUnits(units float64, currency string) (int64, bool) {
	scale, ok := scale(currency)
	if !ok {
		scale = powersOfTen[2]
	}
	minor := math.Round(units * scale)
	if !(math.Abs(minor) <= maxMinor) {
		return 0, false
	}
	return int64(minor), true
}

package messages

import (
	"math"
	"strconv"
)

// FormatAmount formats an amount in units of the currency with the currency's number of decimal digits (ISO 4217); two for an
// unknown currency.
func FormatAmount(units float64, currency string) string {
	digits, ok := minorDigits[currency]
	if !ok {
		digits = 2
	}
	return strconv.FormatFloat(units, 'f', int(digits), 64)
}

// FormatMinor formats an amount in minor units (cents) of the currency as FormatAmount does.
func FormatMinor(minor int64, currency string) string {
	digits, ok := minorDigits[currency]
	if !ok {
		digits = 2
	}
	return FormatAmount(float64(minor)/powersOfTen[digits], currency)
}

// MinorUnits rounds an amount in units of the currency to minor units (cents); an unknown currency has two decimal digits. It
// returns false if the amount exceeds 2^53 minor units, up to which they are exact.
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

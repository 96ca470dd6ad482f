package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/node/server/index"
)

// threePages are pages of orders from the index.
func threePages() []*index.Page {
	until := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	var pages []*index.Page
	for i := range 3 {
		p := &index.Page{Orders: []index.Order{}, Next: "next", Behind: float64(i), Node: fmt.Sprintf("node-%d", i)}
		for j := range 2 - i { // the last is empty
			p.Orders = append(p.Orders, index.Order{OrderID: fmt.Sprintf("o-%d-%d", i, j), CustomerID: "<c>", Status: "parked", WaitsUntil: &until})
		}
		pages = append(pages, p)
	}
	pages[2].Next = ""
	return pages
}

// TestOrdersJSON: the output is that of one large page, and each page is written when it arrives.
func TestOrdersJSON(t *testing.T) {
	for _, n := range []int{1, 2, 3} {
		var out, whole syncBuffer
		w := newOrderJSON(&out)
		want := index.Page{Orders: []index.Order{}}
		pages := threePages()[3-n:]
		for _, p := range pages {
			if err := w.page(p); err != nil {
				t.Fatal(err)
			}
			if want.Orders = append(want.Orders, p.Orders...); len(p.Orders) > 0 && !strings.HasSuffix(out.String(), "\n    }") {
				t.Errorf("the page is not written:\n%s", &out)
			}
		}
		last := pages[n-1]
		if err := w.end(last); err != nil {
			t.Fatal(err)
		}
		want.Behind, want.Node = last.Behind, last.Node
		if err := writeJSON(&whole, want); err != nil {
			t.Fatal(err)
		}
		if out.String() != whole.String() {
			t.Errorf("got\n%s\nwant\n%s", &out, &whole)
		}
		decode[index.Page](t, out.String())
	}
}

// TestOrdersText: the heading is written once, columns keep their width, and each page is written when it arrives.
func TestOrdersText(t *testing.T) {
	var out, errs syncBuffer
	w := &orderTable{t: terminal{out: &out, err: &errs}, table: table{out: &out}}
	pages := threePages()
	pages[0].Orders[0].OrderID = "o-with-a-long-name"
	for i, p := range pages {
		for j := range p.Orders {
			p.Orders[j].StatusSince = time.Now().Add(time.Hour)
		}
		if err := w.page(p); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(out.String(), "\n"); lines != []int{3, 4, 4}[i] {
			t.Errorf("%d lines after page %d", lines, i)
		}
	}
	if err := w.end(pages[2]); err != nil {
		t.Fatal(err)
	}
	want := `ORDER               CUSTOMER  STATUS  FOR  STEP  UNTIL                 REASON
o-with-a-long-name  <c>       parked  0s   -     2030-01-02T03:04:05Z  -
o-0-1               <c>       parked  0s   -     2030-01-02T03:04:05Z  -
o-1-0               <c>       parked  0s   -     2030-01-02T03:04:05Z  -
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
	if err := w.end(pages[0]); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "\nthe first 3; continue with --cursor next\n") {
		t.Errorf("got\n%s", &out)
	}
}

// TestJSONList: elements written one at a time give the JSON of the whole list.
func TestJSONList(t *testing.T) {
	for _, elements := range [][]deadLetter{{}, {{Reason: "<a>"}}, {{Reason: "a"}, {Reason: "b\nc"}}} {
		var out, want syncBuffer
		l := jsonList{out: &out}
		for _, e := range elements {
			if err := l.add(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.end(); err != nil {
			t.Fatal(err)
		}
		if err := writeJSON(&want, elements); err != nil {
			t.Fatal(err)
		}
		if out.String()+"\n" != want.String() {
			t.Errorf("got\n%s\nwant\n%s", &out, &want)
		}
	}
}

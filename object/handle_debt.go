package object

import (
	"time"

	"torc/internal/codec"
	"torc/meta"
)

// Debt is what one extent lacks.
type Debt struct {
	Owner   Owner // bucket and key only
	Extent  Extent
	Since   time.Time
	Stripes []StripeDebt
}

// debtPage is a stretch of the debt table.
type debtPage struct {
	Entries []debtEntry
	Next    []byte
}

type debtEntry struct {
	Anchor []byte
	Record debtRecord
}

func (p *debtPage) code(c *coder) {
	codec.List(c, &p.Entries, func(c *coder, e *debtEntry) { c.Bytes(&e.Anchor); e.Record.code(c) })
	c.Bytes(&p.Next)
}

// debtPageBytes bounds one page: an extent of many stripes is a large entry.
const debtPageBytes = 1 << 20

func evalDebtScan(txn meta.Txn, q *walkQuery, r *debtPage) (err error) {
	size := 0
	r.Next, err = walk(txn, localDebt, q.From, func(anchor, _, v []byte) (bool, error) {
		if len(r.Entries) >= q.Limit || size > debtPageBytes {
			return false, nil
		}
		e := debtEntry{Anchor: anchor}
		size += len(v)
		err := decode("debt", v, &e.Record)
		r.Entries = append(r.Entries, e)
		return err == nil, err
	})
	return err
}

// debtSettle replaces what an extent owes by what is left, nothing when empty.
type debtSettle struct {
	Anchor []byte
	Base   Base
	Left   []StripeDebt
}

func (q *debtSettle) code(c *coder) {
	c.Bytes(&q.Anchor)
	q.Base.code(c)
	codec.List(c, &q.Left, func(c *coder, d *StripeDebt) { d.code(c) })
}

func evalDebtSettle(txn meta.Txn, q *debtSettle, _ *empty) error {
	k := debtKey(q.Anchor, q.Base)
	var d debtRecord
	found, err := load(txn, "debt", k, &d)
	if err != nil || !found {
		return err
	}
	if d.Stripes = q.Left; len(d.Stripes) == 0 {
		txn.Delete(k)
		return nil
	}
	store(txn, k, &d)
	return nil
}

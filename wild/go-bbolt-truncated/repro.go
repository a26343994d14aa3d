package main

import (
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

func main() {
	path := filepath.Join(os.TempDir(), "data.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		panic(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte("b"))
		for i := 0; err == nil && i < 20000; i++ {
			err = bucket.Put([]byte(fmt.Sprintf("%08d", i)), make([]byte, 100))
		}
		return err
	})
	if err != nil {
		panic(err)
	}
	os.Truncate(path, 16384)
	db.View(func(tx *bbolt.Tx) error {
		total := 0
		tx.Bucket([]byte("b")).ForEach(func(_, value []byte) error { total += len(value); return nil })
		fmt.Println(total)
		return nil
	})
}

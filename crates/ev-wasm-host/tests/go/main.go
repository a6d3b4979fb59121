// A decoder module in Go, as small as one can be: it knows where the identity of an event stands
// and writes nothing else. Built as a reactor:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o guest.wasm
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"
)

func main() {}

const headerLen = 64

var (
	input   []byte
	output  []byte
	failure = "the batch is malformed"
)

//go:wasmexport ev_abi_version
func abiVersion() int32 { return 1 }

//go:wasmexport ev_alloc
func alloc(length int32) int32 {
	if length < 0 {
		return 0
	}
	// Never empty, so that it has an address.
	input = make([]byte, int(length)+1)
	return int32(uintptr(unsafe.Pointer(&input[0])))
}

//go:wasmexport ev_describe
func describe() int64 {
	output = append(output[:0], `{"producer":"go"}`...)
	return packed(output)
}

//go:wasmexport ev_error
func lastError() int64 { return packed([]byte(failure)) }

//go:wasmexport ev_decode_batch
func decodeBatch(_, length, _ int32) int64 {
	rest := input[:length]
	if len(rest) < 4 {
		return 0
	}
	count := binary.LittleEndian.Uint32(rest)
	rest = rest[4:]
	output = output[:0]
	for range count {
		if len(rest) < 4 {
			return 0
		}
		size := int(binary.LittleEndian.Uint32(rest))
		rest = rest[4:]
		if len(rest) < size {
			return 0
		}
		record(rest[:size])
		rest = rest[size:]
	}
	return packed(output)
}

func packed(text []byte) int64 {
	return int64(uintptr(unsafe.Pointer(&text[0])))<<32 | int64(len(text))
}

// What a field holds: a number, or where its bytes are.
type field struct {
	number     uint64
	value      uint64
	start, end int
}

// The fields of event[at:end], as far as they are varints or have a length.
func fields(event []byte, at, end int) []field {
	var found []field
	for at < end {
		tag, n := binary.Uvarint(event[at:end])
		if n <= 0 {
			return found
		}
		at += n
		value, n := binary.Uvarint(event[at:end])
		if n <= 0 {
			return found
		}
		at += n
		f := field{number: tag >> 3, value: value}
		if tag&7 == 2 {
			f.start, f.end = at, at+int(value)
			at = f.end
		}
		found = append(found, f)
	}
	return found
}

func record(event []byte) {
	start := len(output)
	output = append(output, make([]byte, headerLen)...)
	put := func(at, value int) {
		binary.LittleEndian.PutUint32(output[start+at:], uint32(value))
	}
	var kind, uid field
	var index, nanos int64
	seconds := int64(-62135596800)
	for _, oneof := range fields(event, 0, len(event)) {
		put(8, int(oneof.number))
		for _, metadata := range fields(event, oneof.start, oneof.end) {
			if metadata.number != 1 {
				continue
			}
			for _, f := range fields(event, metadata.start, metadata.end) {
				switch f.number {
				case 1:
					index = int64(f.value)
				case 2:
					kind = f
				case 3:
					uid = f
				case 5:
					seconds, nanos = 0, 0
					for _, part := range fields(event, f.start, f.end) {
						switch part.number {
						case 1:
							seconds = int64(part.value)
						case 2:
							nanos = int64(part.value)
						}
					}
				}
			}
			break
		}
	}
	put(20, kind.start)
	put(24, kind.end-kind.start)
	put(28, uid.start)
	put(32, uid.end-uid.start)
	put(44, int(nanos))
	binary.LittleEndian.PutUint64(output[start+48:], uint64(index))
	binary.LittleEndian.PutUint64(output[start+56:], uint64(seconds))
	if uid.start == uid.end {
		output = append(output, make([]byte, sha256.Size)...)
	}
	written := len(output)
	output = append(output, `{"ei":`...)
	output = strconv.AppendInt(output, index, 10)
	output = append(output, `,"event":`...)
	text(string(event[kind.start:kind.end]))
	output = append(output, `,"uid":`...)
	text(string(event[uid.start:uid.end]))
	output = append(output, `,"time":"`...)
	output = time.Unix(seconds, nanos).UTC().AppendFormat(output, time.RFC3339Nano)
	output = append(output, `"}`...)
	if uid.start == uid.end {
		digest := sha256.Sum256(output[written:])
		copy(output[start+headerLen:], digest[:])
	}
	put(0, len(output)-start)
}

// A JSON string; each byte that is not UTF-8 becomes U+FFFD.
func text(value string) {
	output = append(output, '"')
	for _, r := range value {
		if r < ' ' || r == '"' || r == '\\' {
			output = append(output, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		} else {
			output = utf8.AppendRune(output, r)
		}
	}
	output = append(output, '"')
}

const hex = "0123456789abcdef"

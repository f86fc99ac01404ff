package netio

import "testing"

// Chunks grow with use to 64 KiB and are let go of when nothing comes; a receiver's bytes are never written to again.
func TestInputChunks(t *testing.T) {
	var in input
	sizes := []int{}
	for range 40 {
		n := len(in.room(1 << 20))
		if k := cap(in.chunk); len(sizes) == 0 || sizes[len(sizes)-1] != k {
			sizes = append(sizes, k)
		}
		in.came(n)
		in.use(n, 0)
	}
	if len(sizes) != 4 || sizes[0] != minChunkBytes || sizes[3] != maxChunkBytes {
		t.Errorf("chunk sizes %v", sizes)
	}
	in.room(1 << 20)
	in.came(10)
	in.use(10, 0)
	in.rest()
	if in.chunk == nil {
		t.Error("a chunk that something came into was let go of")
	}
	in.rest()
	if in.chunk != nil {
		t.Error("an idle chunk was kept")
	}
	if in.room(1 << 20); cap(in.chunk) != minChunkBytes {
		t.Errorf("after idling a chunk has %d bytes", cap(in.chunk))
	}
}

// In mid-message the chunk is at most twice what came, and never beyond the limit by more than the least room.
func TestInputGrowsWithWhatCame(t *testing.T) {
	const limit = 1 << 20
	var in input
	for came := 0; came <= limit; {
		n := len(in.room(limit))
		if size := cap(in.chunk); size > maxChunkBytes && size > 2*came || size > limit+1+minRoomBytes {
			t.Fatalf("a chunk of %d bytes when %d came", size, came)
		}
		in.came(n)
		in.use(0, 1<<30)
		came += n
	}
}

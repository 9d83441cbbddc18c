package wasmgen

// simdRows are the vector instructions but v128.const.
var simdRows = []row{
	{simd, simd, "i:v", immMem, 4, 0}, {simd | 1, simd | 6, "i:v", immMem, 3, 0}, // loads
	{simd | 7, simd | 7, "i:v", immMem, 0, 0}, {simd | 8, simd | 8, "i:v", immMem, 1, 0},
	{simd | 9, simd | 9, "i:v", immMem, 2, 0}, {simd | 10, simd | 10, "i:v", immMem, 3, 0},
	{simd | 11, simd | 11, "iv:", immMem, 4, 0},
	{simd | 92, simd | 92, "i:v", immMem, 2, 0}, {simd | 93, simd | 93, "i:v", immMem, 3, 0},
	{simd | 84, simd | 84, "iv:v", immMemLane, 0, 0}, {simd | 85, simd | 85, "iv:v", immMemLane, 1, 0},
	{simd | 86, simd | 86, "iv:v", immMemLane, 2, 0}, {simd | 87, simd | 87, "iv:v", immMemLane, 3, 0},
	{simd | 88, simd | 88, "iv:", immMemLane, 0, 0}, {simd | 89, simd | 89, "iv:", immMemLane, 1, 0},
	{simd | 90, simd | 90, "iv:", immMemLane, 2, 0}, {simd | 91, simd | 91, "iv:", immMemLane, 3, 0},

	{simd | 13, simd | 13, "vv:v", immShuffle, 0, 0}, {simd | 14, simd | 14, "vv:v", 0, 0, 0}, // lanes
	{simd | 15, simd | 17, "i:v", 0, 0, 0}, {simd | 18, simd | 18, "j:v", 0, 0, 0},
	{simd | 19, simd | 19, "f:v", 0, 0, bits0}, {simd | 20, simd | 20, "d:v", 0, 0, bits0},
	{simd | 21, simd | 22, "v:i", immLane, 16, 0}, {simd | 23, simd | 23, "vi:v", immLane, 16, 0},
	{simd | 24, simd | 25, "v:i", immLane, 8, 0}, {simd | 26, simd | 26, "vi:v", immLane, 8, 0},
	{simd | 27, simd | 27, "v:i", immLane, 4, 0}, {simd | 28, simd | 28, "vi:v", immLane, 4, 0},
	{simd | 29, simd | 29, "v:j", immLane, 2, 0}, {simd | 30, simd | 30, "vj:v", immLane, 2, 0},
	{simd | 31, simd | 31, "v:f", immLane, 4, 0}, {simd | 32, simd | 32, "vf:v", immLane, 4, bits1},
	{simd | 33, simd | 33, "v:d", immLane, 2, 0}, {simd | 34, simd | 34, "vd:v", immLane, 2, bits1},

	{simd | 35, simd | 76, "vv:v", 0, 0, 0}, // comparisons
	{simd | 77, simd | 77, "v:v", 0, 0, 0}, {simd | 78, simd | 81, "vv:v", 0, 0, 0},
	{simd | 82, simd | 82, "vvv:v", 0, 0, 0}, {simd | 83, simd | 83, "v:i", 0, 0, 0},
	{simd | 94, simd | 94, "v:v", 0, 0, nan32}, {simd | 95, simd | 95, "v:v", 0, 0, nan64},

	{simd | 96, simd | 98, "v:v", 0, 0, 0}, {simd | 99, simd | 100, "v:i", 0, 0, 0}, // i8x16
	{simd | 101, simd | 102, "vv:v", 0, 0, 0}, {simd | 103, simd | 106, "v:v", 0, 0, nan32},
	{simd | 107, simd | 109, "vi:v", 0, 0, 0}, {simd | 110, simd | 115, "vv:v", 0, 0, 0},
	{simd | 116, simd | 117, "v:v", 0, 0, nan64}, {simd | 118, simd | 121, "vv:v", 0, 0, 0},
	{simd | 122, simd | 122, "v:v", 0, 0, nan64}, {simd | 123, simd | 123, "vv:v", 0, 0, 0},
	{simd | 124, simd | 127, "v:v", 0, 0, 0},

	{simd | 128, simd | 129, "v:v", 0, 0, 0}, {simd | 130, simd | 130, "vv:v", 0, 0, 0}, // i16x8
	{simd | 131, simd | 132, "v:i", 0, 0, 0}, {simd | 133, simd | 134, "vv:v", 0, 0, 0},
	{simd | 135, simd | 138, "v:v", 0, 0, 0}, {simd | 139, simd | 141, "vi:v", 0, 0, 0},
	{simd | 142, simd | 147, "vv:v", 0, 0, 0}, {simd | 148, simd | 148, "v:v", 0, 0, nan64},
	{simd | 149, simd | 153, "vv:v", 0, 0, 0}, {simd | 155, simd | 159, "vv:v", 0, 0, 0},

	{simd | 160, simd | 161, "v:v", 0, 0, 0}, {simd | 163, simd | 164, "v:i", 0, 0, 0}, // i32x4
	{simd | 167, simd | 170, "v:v", 0, 0, 0}, {simd | 171, simd | 173, "vi:v", 0, 0, 0},
	{simd | 174, simd | 174, "vv:v", 0, 0, 0}, {simd | 177, simd | 177, "vv:v", 0, 0, 0},
	{simd | 181, simd | 186, "vv:v", 0, 0, 0}, {simd | 188, simd | 191, "vv:v", 0, 0, 0},

	{simd | 192, simd | 193, "v:v", 0, 0, 0}, {simd | 195, simd | 196, "v:i", 0, 0, 0}, // i64x2
	{simd | 199, simd | 202, "v:v", 0, 0, 0}, {simd | 203, simd | 205, "vi:v", 0, 0, 0},
	{simd | 206, simd | 206, "vv:v", 0, 0, 0}, {simd | 209, simd | 209, "vv:v", 0, 0, 0},
	{simd | 213, simd | 223, "vv:v", 0, 0, 0},

	{simd | 224, simd | 225, "v:v", 0, 0, 0}, {simd | 227, simd | 227, "v:v", 0, 0, nan32}, // floats
	{simd | 228, simd | 233, "vv:v", 0, 0, nan32}, {simd | 234, simd | 235, "vv:v", 0, 0, 0},
	{simd | 236, simd | 237, "v:v", 0, 0, 0}, {simd | 239, simd | 239, "v:v", 0, 0, nan64},
	{simd | 240, simd | 245, "vv:v", 0, 0, nan64}, {simd | 246, simd | 247, "vv:v", 0, 0, 0},
	{simd | 248, simd | 255, "v:v", 0, 0, 0},
}

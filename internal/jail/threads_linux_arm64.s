#include "textflag.h"

// The handler makes the calls in batch and notes the thread's id. The kernel
// calls it on the thread's signal stack; returning from it restores all
// registers, so it may use any but the link register.
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0
	MOVD $·batch(SB), R19
	MOVD $·batchLen(SB), R9
	MOVD (R9), R20

next:
	CBZ  R20, note
	MOVD 0(R19), R8
	MOVD 8(R19), R0
	MOVD 16(R19), R1
	MOVD 24(R19), R2
	MOVD 32(R19), R3
	MOVD 40(R19), R4
	MOVD 48(R19), R5
	SVC
	CMN  $4095, R0
	BCC  ok
	MOVD $·failed(SB), R9
	CMN  $1, R0 // EPERM
	BNE  fail
	MOVD $·refused(SB), R9

fail:
	LDAXRW (R9), R10
	ADDW   $1, R10
	STLXRW R10, (R9), R11
	CBNZW  R11, fail

ok:
	ADD $56, R19
	SUB $1, R20
	B   next

note:
	MOVD $178, R8 // gettid
	SVC
	MOVD $·arrived(SB), R9

index:
	LDAXRW (R9), R12
	ADDW   $1, R12, R10
	STLXRW R10, (R9), R11
	CBNZW  R11, index
	CMPW   $1024, R12
	BCS    end
	MOVD   $·tids(SB), R13
	MOVW   R0, (R13)(R12<<2)
	MOVD   $·done(SB), R9

count:
	LDAXRW (R9), R10
	ADDW   $1, R10
	STLXRW R10, (R9), R11
	CBNZW  R11, count

end:
	RET

TEXT ·handlerPC(SB), NOSPLIT, $0-8
	MOVD $·handler(SB), R0
	MOVD R0, ret+0(FP)
	RET

// The kernel brings its own restorer.
TEXT ·restorerPC(SB), NOSPLIT, $0-8
	MOVD ZR, ret+0(FP)
	RET

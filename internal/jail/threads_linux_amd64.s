#include "textflag.h"

// The handler makes the calls in batch and notes the thread's id. The kernel
// calls it on the thread's signal stack; returning from it restores all
// registers, so it may use any.
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0
	LEAQ ·batch(SB), R12
	MOVQ ·batchLen(SB), R13

next:
	TESTQ R13, R13
	JEQ   note
	MOVQ  0(R12), AX
	MOVQ  8(R12), DI
	MOVQ  16(R12), SI
	MOVQ  24(R12), DX
	MOVQ  32(R12), R10
	MOVQ  40(R12), R8
	MOVQ  48(R12), R9
	SYSCALL
	CMPQ  AX, $0xfffffffffffff001
	JCS   ok
	CMPQ  AX, $-1 // EPERM
	JEQ   no
	LOCK
	INCL  ·failed(SB)
	JMP   ok

no:
	LOCK
	INCL ·refused(SB)

ok:
	ADDQ $56, R12
	DECQ R13
	JMP  next

note:
	MOVL $186, AX // gettid
	SYSCALL
	MOVL $1, R12
	LOCK
	XADDL R12, ·arrived(SB)
	CMPL R12, $1024
	JCC  end
	LEAQ ·tids(SB), R13
	MOVL AX, (R13)(R12*4)
	LOCK
	INCL ·done(SB)

end:
	RET

TEXT ·restorer(SB), NOSPLIT|NOFRAME, $0
	MOVQ $15, AX // rt_sigreturn
	SYSCALL
	INT  $3

TEXT ·handlerPC(SB), NOSPLIT, $0-8
	LEAQ ·handler(SB), AX
	MOVQ AX, ret+0(FP)
	RET

TEXT ·restorerPC(SB), NOSPLIT, $0-8
	LEAQ ·restorer(SB), AX
	MOVQ AX, ret+0(FP)
	RET

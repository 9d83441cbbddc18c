# The C stack's pointer, which C cannot name, and where threads and fibers begin.
	.globaltype	__stack_pointer, i32
	.functype	fiber_first () -> ()
	.functype	fiber_top () -> (i32)

	.section	.text.stack_pointer,"",@
	.globl	stack_pointer
	.type	stack_pointer,@function
stack_pointer:
	.functype	stack_pointer () -> (i32)
	global.get	__stack_pointer
	end_function

	.section	.text.set_stack_pointer,"",@
	.globl	set_stack_pointer
	.type	set_stack_pointer,@function
set_stack_pointer:
	.functype	set_stack_pointer (i32) -> ()
	local.get	0
	global.set	__stack_pointer
	end_function

	.section	.text.fiber_start,"",@
	.globl	fiber_start
	.type	fiber_start,@function
fiber_start:
	.functype	fiber_start () -> ()
	call	fiber_top
	global.set	__stack_pointer
	call	fiber_first
	end_function

# A thread begins here, as in wasix-libc's own wasi_thread_start: on its stack and
# with its variables, which its start block begins with. It ends where
# thread_leave throws.
	.globaltype	__stack_pointer, i32
	.functype	__wasm_init_tls (i32) -> ()
	.functype	__wasi_thread_start_C (i32, i32) -> ()

	.tagtype	left
left:

	.section	.text.thread_leave,"",@
	.globl	thread_leave
	.type	thread_leave,@function
thread_leave:
	.functype	thread_leave () -> ()
	throw	left
	end_function

	.section	.text.wasi_thread_start,"",@
	.globl	wasi_thread_start
	.type	wasi_thread_start,@function
	.export_name	wasi_thread_start, wasi_thread_start
wasi_thread_start:
	.functype	wasi_thread_start (i32, i32) -> ()
	local.get	1
	i32.load	0
	global.set	__stack_pointer
	local.get	1
	i32.load	4
	call	__wasm_init_tls
	try
	local.get	0
	local.get	1
	call	__wasi_thread_start_C
	catch	left
	end_try
	end_function

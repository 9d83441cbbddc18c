package wasm

// The instructions, by family and in the order of their codes.
const (
	// Control flow.

	OpUnreachable        Opcode = 0x00
	OpNop                Opcode = 0x01
	OpBlock              Opcode = 0x02
	OpLoop               Opcode = 0x03
	OpIf                 Opcode = 0x04
	OpElse               Opcode = 0x05
	OpEnd                Opcode = 0x0b
	OpBr                 Opcode = 0x0c
	OpBrIf               Opcode = 0x0d
	OpBrTable            Opcode = 0x0e
	OpReturn             Opcode = 0x0f
	OpCall               Opcode = 0x10
	OpCallIndirect       Opcode = 0x11
	OpReturnCall         Opcode = 0x12
	OpReturnCallIndirect Opcode = 0x13
	OpCallRef            Opcode = 0x14
	OpReturnCallRef      Opcode = 0x15

	// Exceptions: the standard form, then the legacy one.

	OpTry      Opcode = 0x06
	OpCatch    Opcode = 0x07
	OpThrow    Opcode = 0x08
	OpRethrow  Opcode = 0x09
	OpThrowRef Opcode = 0x0a
	OpDelegate Opcode = 0x18
	OpCatchAll Opcode = 0x19
	OpTryTable Opcode = 0x1f

	// Operands, variables and tables.

	OpDrop      Opcode = 0x1a
	OpSelect    Opcode = 0x1b
	OpSelectT   Opcode = 0x1c
	OpLocalGet  Opcode = 0x20
	OpLocalSet  Opcode = 0x21
	OpLocalTee  Opcode = 0x22
	OpGlobalGet Opcode = 0x23
	OpGlobalSet Opcode = 0x24
	OpTableGet  Opcode = 0x25
	OpTableSet  Opcode = 0x26

	// Memory.

	OpI32Load    Opcode = 0x28
	OpI64Load    Opcode = 0x29
	OpF32Load    Opcode = 0x2a
	OpF64Load    Opcode = 0x2b
	OpI32Load8S  Opcode = 0x2c
	OpI32Load8U  Opcode = 0x2d
	OpI32Load16S Opcode = 0x2e
	OpI32Load16U Opcode = 0x2f
	OpI64Load8S  Opcode = 0x30
	OpI64Load8U  Opcode = 0x31
	OpI64Load16S Opcode = 0x32
	OpI64Load16U Opcode = 0x33
	OpI64Load32S Opcode = 0x34
	OpI64Load32U Opcode = 0x35
	OpI32Store   Opcode = 0x36
	OpI64Store   Opcode = 0x37
	OpF32Store   Opcode = 0x38
	OpF64Store   Opcode = 0x39
	OpI32Store8  Opcode = 0x3a
	OpI32Store16 Opcode = 0x3b
	OpI64Store8  Opcode = 0x3c
	OpI64Store16 Opcode = 0x3d
	OpI64Store32 Opcode = 0x3e
	OpMemorySize Opcode = 0x3f
	OpMemoryGrow Opcode = 0x40

	// Constants.

	OpI32Const Opcode = 0x41
	OpI64Const Opcode = 0x42
	OpF32Const Opcode = 0x43
	OpF64Const Opcode = 0x44

	// Numbers.

	OpI32Eqz            Opcode = 0x45
	OpI32Eq             Opcode = 0x46
	OpI32Ne             Opcode = 0x47
	OpI32LtS            Opcode = 0x48
	OpI32LtU            Opcode = 0x49
	OpI32GtS            Opcode = 0x4a
	OpI32GtU            Opcode = 0x4b
	OpI32LeS            Opcode = 0x4c
	OpI32LeU            Opcode = 0x4d
	OpI32GeS            Opcode = 0x4e
	OpI32GeU            Opcode = 0x4f
	OpI64Eqz            Opcode = 0x50
	OpI64Eq             Opcode = 0x51
	OpI64Ne             Opcode = 0x52
	OpI64LtS            Opcode = 0x53
	OpI64LtU            Opcode = 0x54
	OpI64GtS            Opcode = 0x55
	OpI64GtU            Opcode = 0x56
	OpI64LeS            Opcode = 0x57
	OpI64LeU            Opcode = 0x58
	OpI64GeS            Opcode = 0x59
	OpI64GeU            Opcode = 0x5a
	OpF32Eq             Opcode = 0x5b
	OpF32Ne             Opcode = 0x5c
	OpF32Lt             Opcode = 0x5d
	OpF32Gt             Opcode = 0x5e
	OpF32Le             Opcode = 0x5f
	OpF32Ge             Opcode = 0x60
	OpF64Eq             Opcode = 0x61
	OpF64Ne             Opcode = 0x62
	OpF64Lt             Opcode = 0x63
	OpF64Gt             Opcode = 0x64
	OpF64Le             Opcode = 0x65
	OpF64Ge             Opcode = 0x66
	OpI32Clz            Opcode = 0x67
	OpI32Ctz            Opcode = 0x68
	OpI32Popcnt         Opcode = 0x69
	OpI32Add            Opcode = 0x6a
	OpI32Sub            Opcode = 0x6b
	OpI32Mul            Opcode = 0x6c
	OpI32DivS           Opcode = 0x6d
	OpI32DivU           Opcode = 0x6e
	OpI32RemS           Opcode = 0x6f
	OpI32RemU           Opcode = 0x70
	OpI32And            Opcode = 0x71
	OpI32Or             Opcode = 0x72
	OpI32Xor            Opcode = 0x73
	OpI32Shl            Opcode = 0x74
	OpI32ShrS           Opcode = 0x75
	OpI32ShrU           Opcode = 0x76
	OpI32Rotl           Opcode = 0x77
	OpI32Rotr           Opcode = 0x78
	OpI64Clz            Opcode = 0x79
	OpI64Ctz            Opcode = 0x7a
	OpI64Popcnt         Opcode = 0x7b
	OpI64Add            Opcode = 0x7c
	OpI64Sub            Opcode = 0x7d
	OpI64Mul            Opcode = 0x7e
	OpI64DivS           Opcode = 0x7f
	OpI64DivU           Opcode = 0x80
	OpI64RemS           Opcode = 0x81
	OpI64RemU           Opcode = 0x82
	OpI64And            Opcode = 0x83
	OpI64Or             Opcode = 0x84
	OpI64Xor            Opcode = 0x85
	OpI64Shl            Opcode = 0x86
	OpI64ShrS           Opcode = 0x87
	OpI64ShrU           Opcode = 0x88
	OpI64Rotl           Opcode = 0x89
	OpI64Rotr           Opcode = 0x8a
	OpF32Abs            Opcode = 0x8b
	OpF32Neg            Opcode = 0x8c
	OpF32Ceil           Opcode = 0x8d
	OpF32Floor          Opcode = 0x8e
	OpF32Trunc          Opcode = 0x8f
	OpF32Nearest        Opcode = 0x90
	OpF32Sqrt           Opcode = 0x91
	OpF32Add            Opcode = 0x92
	OpF32Sub            Opcode = 0x93
	OpF32Mul            Opcode = 0x94
	OpF32Div            Opcode = 0x95
	OpF32Min            Opcode = 0x96
	OpF32Max            Opcode = 0x97
	OpF32Copysign       Opcode = 0x98
	OpF64Abs            Opcode = 0x99
	OpF64Neg            Opcode = 0x9a
	OpF64Ceil           Opcode = 0x9b
	OpF64Floor          Opcode = 0x9c
	OpF64Trunc          Opcode = 0x9d
	OpF64Nearest        Opcode = 0x9e
	OpF64Sqrt           Opcode = 0x9f
	OpF64Add            Opcode = 0xa0
	OpF64Sub            Opcode = 0xa1
	OpF64Mul            Opcode = 0xa2
	OpF64Div            Opcode = 0xa3
	OpF64Min            Opcode = 0xa4
	OpF64Max            Opcode = 0xa5
	OpF64Copysign       Opcode = 0xa6
	OpI32WrapI64        Opcode = 0xa7
	OpI32TruncF32S      Opcode = 0xa8
	OpI32TruncF32U      Opcode = 0xa9
	OpI32TruncF64S      Opcode = 0xaa
	OpI32TruncF64U      Opcode = 0xab
	OpI64ExtendI32S     Opcode = 0xac
	OpI64ExtendI32U     Opcode = 0xad
	OpI64TruncF32S      Opcode = 0xae
	OpI64TruncF32U      Opcode = 0xaf
	OpI64TruncF64S      Opcode = 0xb0
	OpI64TruncF64U      Opcode = 0xb1
	OpF32ConvertI32S    Opcode = 0xb2
	OpF32ConvertI32U    Opcode = 0xb3
	OpF32ConvertI64S    Opcode = 0xb4
	OpF32ConvertI64U    Opcode = 0xb5
	OpF32DemoteF64      Opcode = 0xb6
	OpF64ConvertI32S    Opcode = 0xb7
	OpF64ConvertI32U    Opcode = 0xb8
	OpF64ConvertI64S    Opcode = 0xb9
	OpF64ConvertI64U    Opcode = 0xba
	OpF64PromoteF32     Opcode = 0xbb
	OpI32ReinterpretF32 Opcode = 0xbc
	OpI64ReinterpretF64 Opcode = 0xbd
	OpF32ReinterpretI32 Opcode = 0xbe
	OpF64ReinterpretI64 Opcode = 0xbf
	OpI32Extend8S       Opcode = 0xc0
	OpI32Extend16S      Opcode = 0xc1
	OpI64Extend8S       Opcode = 0xc2
	OpI64Extend16S      Opcode = 0xc3
	OpI64Extend32S      Opcode = 0xc4

	// References.

	OpRefNull      Opcode = 0xd0
	OpRefIsNull    Opcode = 0xd1
	OpRefFunc      Opcode = 0xd2
	OpRefAsNonNull Opcode = 0xd4
	OpBrOnNull     Opcode = 0xd5
	OpBrOnNonNull  Opcode = 0xd6

	// Prefix 0xFC: saturating conversions and bulk operations.

	OpI32TruncSatF32S Opcode = prefixFC
	OpI32TruncSatF32U Opcode = prefixFC | 0x01
	OpI32TruncSatF64S Opcode = prefixFC | 0x02
	OpI32TruncSatF64U Opcode = prefixFC | 0x03
	OpI64TruncSatF32S Opcode = prefixFC | 0x04
	OpI64TruncSatF32U Opcode = prefixFC | 0x05
	OpI64TruncSatF64S Opcode = prefixFC | 0x06
	OpI64TruncSatF64U Opcode = prefixFC | 0x07
	OpMemoryInit      Opcode = prefixFC | 0x08
	OpDataDrop        Opcode = prefixFC | 0x09
	OpMemoryCopy      Opcode = prefixFC | 0x0a
	OpMemoryFill      Opcode = prefixFC | 0x0b
	OpTableInit       Opcode = prefixFC | 0x0c
	OpElemDrop        Opcode = prefixFC | 0x0d
	OpTableCopy       Opcode = prefixFC | 0x0e
	OpTableGrow       Opcode = prefixFC | 0x0f
	OpTableSize       Opcode = prefixFC | 0x10
	OpTableFill       Opcode = prefixFC | 0x11

	// Prefix 0xFD: vectors.

	OpV128Load                  Opcode = prefixFD
	OpV128Load8x8S              Opcode = prefixFD | 0x01
	OpV128Load8x8U              Opcode = prefixFD | 0x02
	OpV128Load16x4S             Opcode = prefixFD | 0x03
	OpV128Load16x4U             Opcode = prefixFD | 0x04
	OpV128Load32x2S             Opcode = prefixFD | 0x05
	OpV128Load32x2U             Opcode = prefixFD | 0x06
	OpV128Load8Splat            Opcode = prefixFD | 0x07
	OpV128Load16Splat           Opcode = prefixFD | 0x08
	OpV128Load32Splat           Opcode = prefixFD | 0x09
	OpV128Load64Splat           Opcode = prefixFD | 0x0a
	OpV128Store                 Opcode = prefixFD | 0x0b
	OpV128Const                 Opcode = prefixFD | 0x0c
	OpI8x16Shuffle              Opcode = prefixFD | 0x0d
	OpI8x16Swizzle              Opcode = prefixFD | 0x0e
	OpI8x16Splat                Opcode = prefixFD | 0x0f
	OpI16x8Splat                Opcode = prefixFD | 0x10
	OpI32x4Splat                Opcode = prefixFD | 0x11
	OpI64x2Splat                Opcode = prefixFD | 0x12
	OpF32x4Splat                Opcode = prefixFD | 0x13
	OpF64x2Splat                Opcode = prefixFD | 0x14
	OpI8x16ExtractLaneS         Opcode = prefixFD | 0x15
	OpI8x16ExtractLaneU         Opcode = prefixFD | 0x16
	OpI8x16ReplaceLane          Opcode = prefixFD | 0x17
	OpI16x8ExtractLaneS         Opcode = prefixFD | 0x18
	OpI16x8ExtractLaneU         Opcode = prefixFD | 0x19
	OpI16x8ReplaceLane          Opcode = prefixFD | 0x1a
	OpI32x4ExtractLane          Opcode = prefixFD | 0x1b
	OpI32x4ReplaceLane          Opcode = prefixFD | 0x1c
	OpI64x2ExtractLane          Opcode = prefixFD | 0x1d
	OpI64x2ReplaceLane          Opcode = prefixFD | 0x1e
	OpF32x4ExtractLane          Opcode = prefixFD | 0x1f
	OpF32x4ReplaceLane          Opcode = prefixFD | 0x20
	OpF64x2ExtractLane          Opcode = prefixFD | 0x21
	OpF64x2ReplaceLane          Opcode = prefixFD | 0x22
	OpI8x16Eq                   Opcode = prefixFD | 0x23
	OpI8x16Ne                   Opcode = prefixFD | 0x24
	OpI8x16LtS                  Opcode = prefixFD | 0x25
	OpI8x16LtU                  Opcode = prefixFD | 0x26
	OpI8x16GtS                  Opcode = prefixFD | 0x27
	OpI8x16GtU                  Opcode = prefixFD | 0x28
	OpI8x16LeS                  Opcode = prefixFD | 0x29
	OpI8x16LeU                  Opcode = prefixFD | 0x2a
	OpI8x16GeS                  Opcode = prefixFD | 0x2b
	OpI8x16GeU                  Opcode = prefixFD | 0x2c
	OpI16x8Eq                   Opcode = prefixFD | 0x2d
	OpI16x8Ne                   Opcode = prefixFD | 0x2e
	OpI16x8LtS                  Opcode = prefixFD | 0x2f
	OpI16x8LtU                  Opcode = prefixFD | 0x30
	OpI16x8GtS                  Opcode = prefixFD | 0x31
	OpI16x8GtU                  Opcode = prefixFD | 0x32
	OpI16x8LeS                  Opcode = prefixFD | 0x33
	OpI16x8LeU                  Opcode = prefixFD | 0x34
	OpI16x8GeS                  Opcode = prefixFD | 0x35
	OpI16x8GeU                  Opcode = prefixFD | 0x36
	OpI32x4Eq                   Opcode = prefixFD | 0x37
	OpI32x4Ne                   Opcode = prefixFD | 0x38
	OpI32x4LtS                  Opcode = prefixFD | 0x39
	OpI32x4LtU                  Opcode = prefixFD | 0x3a
	OpI32x4GtS                  Opcode = prefixFD | 0x3b
	OpI32x4GtU                  Opcode = prefixFD | 0x3c
	OpI32x4LeS                  Opcode = prefixFD | 0x3d
	OpI32x4LeU                  Opcode = prefixFD | 0x3e
	OpI32x4GeS                  Opcode = prefixFD | 0x3f
	OpI32x4GeU                  Opcode = prefixFD | 0x40
	OpF32x4Eq                   Opcode = prefixFD | 0x41
	OpF32x4Ne                   Opcode = prefixFD | 0x42
	OpF32x4Lt                   Opcode = prefixFD | 0x43
	OpF32x4Gt                   Opcode = prefixFD | 0x44
	OpF32x4Le                   Opcode = prefixFD | 0x45
	OpF32x4Ge                   Opcode = prefixFD | 0x46
	OpF64x2Eq                   Opcode = prefixFD | 0x47
	OpF64x2Ne                   Opcode = prefixFD | 0x48
	OpF64x2Lt                   Opcode = prefixFD | 0x49
	OpF64x2Gt                   Opcode = prefixFD | 0x4a
	OpF64x2Le                   Opcode = prefixFD | 0x4b
	OpF64x2Ge                   Opcode = prefixFD | 0x4c
	OpV128Not                   Opcode = prefixFD | 0x4d
	OpV128And                   Opcode = prefixFD | 0x4e
	OpV128Andnot                Opcode = prefixFD | 0x4f
	OpV128Or                    Opcode = prefixFD | 0x50
	OpV128Xor                   Opcode = prefixFD | 0x51
	OpV128Bitselect             Opcode = prefixFD | 0x52
	OpV128AnyTrue               Opcode = prefixFD | 0x53
	OpV128Load8Lane             Opcode = prefixFD | 0x54
	OpV128Load16Lane            Opcode = prefixFD | 0x55
	OpV128Load32Lane            Opcode = prefixFD | 0x56
	OpV128Load64Lane            Opcode = prefixFD | 0x57
	OpV128Store8Lane            Opcode = prefixFD | 0x58
	OpV128Store16Lane           Opcode = prefixFD | 0x59
	OpV128Store32Lane           Opcode = prefixFD | 0x5a
	OpV128Store64Lane           Opcode = prefixFD | 0x5b
	OpV128Load32Zero            Opcode = prefixFD | 0x5c
	OpV128Load64Zero            Opcode = prefixFD | 0x5d
	OpF32x4DemoteF64x2Zero      Opcode = prefixFD | 0x5e
	OpF64x2PromoteLowF32x4      Opcode = prefixFD | 0x5f
	OpI8x16Abs                  Opcode = prefixFD | 0x60
	OpI8x16Neg                  Opcode = prefixFD | 0x61
	OpI8x16Popcnt               Opcode = prefixFD | 0x62
	OpI8x16AllTrue              Opcode = prefixFD | 0x63
	OpI8x16Bitmask              Opcode = prefixFD | 0x64
	OpI8x16NarrowI16x8S         Opcode = prefixFD | 0x65
	OpI8x16NarrowI16x8U         Opcode = prefixFD | 0x66
	OpF32x4Ceil                 Opcode = prefixFD | 0x67
	OpF32x4Floor                Opcode = prefixFD | 0x68
	OpF32x4Trunc                Opcode = prefixFD | 0x69
	OpF32x4Nearest              Opcode = prefixFD | 0x6a
	OpI8x16Shl                  Opcode = prefixFD | 0x6b
	OpI8x16ShrS                 Opcode = prefixFD | 0x6c
	OpI8x16ShrU                 Opcode = prefixFD | 0x6d
	OpI8x16Add                  Opcode = prefixFD | 0x6e
	OpI8x16AddSatS              Opcode = prefixFD | 0x6f
	OpI8x16AddSatU              Opcode = prefixFD | 0x70
	OpI8x16Sub                  Opcode = prefixFD | 0x71
	OpI8x16SubSatS              Opcode = prefixFD | 0x72
	OpI8x16SubSatU              Opcode = prefixFD | 0x73
	OpF64x2Ceil                 Opcode = prefixFD | 0x74
	OpF64x2Floor                Opcode = prefixFD | 0x75
	OpI8x16MinS                 Opcode = prefixFD | 0x76
	OpI8x16MinU                 Opcode = prefixFD | 0x77
	OpI8x16MaxS                 Opcode = prefixFD | 0x78
	OpI8x16MaxU                 Opcode = prefixFD | 0x79
	OpF64x2Trunc                Opcode = prefixFD | 0x7a
	OpI8x16AvgrU                Opcode = prefixFD | 0x7b
	OpI16x8ExtaddPairwiseI8x16S Opcode = prefixFD | 0x7c
	OpI16x8ExtaddPairwiseI8x16U Opcode = prefixFD | 0x7d
	OpI32x4ExtaddPairwiseI16x8S Opcode = prefixFD | 0x7e
	OpI32x4ExtaddPairwiseI16x8U Opcode = prefixFD | 0x7f
	OpI16x8Abs                  Opcode = prefixFD | 0x80
	OpI16x8Neg                  Opcode = prefixFD | 0x81
	OpI16x8Q15mulrSatS          Opcode = prefixFD | 0x82
	OpI16x8AllTrue              Opcode = prefixFD | 0x83
	OpI16x8Bitmask              Opcode = prefixFD | 0x84
	OpI16x8NarrowI32x4S         Opcode = prefixFD | 0x85
	OpI16x8NarrowI32x4U         Opcode = prefixFD | 0x86
	OpI16x8ExtendLowI8x16S      Opcode = prefixFD | 0x87
	OpI16x8ExtendHighI8x16S     Opcode = prefixFD | 0x88
	OpI16x8ExtendLowI8x16U      Opcode = prefixFD | 0x89
	OpI16x8ExtendHighI8x16U     Opcode = prefixFD | 0x8a
	OpI16x8Shl                  Opcode = prefixFD | 0x8b
	OpI16x8ShrS                 Opcode = prefixFD | 0x8c
	OpI16x8ShrU                 Opcode = prefixFD | 0x8d
	OpI16x8Add                  Opcode = prefixFD | 0x8e
	OpI16x8AddSatS              Opcode = prefixFD | 0x8f
	OpI16x8AddSatU              Opcode = prefixFD | 0x90
	OpI16x8Sub                  Opcode = prefixFD | 0x91
	OpI16x8SubSatS              Opcode = prefixFD | 0x92
	OpI16x8SubSatU              Opcode = prefixFD | 0x93
	OpF64x2Nearest              Opcode = prefixFD | 0x94
	OpI16x8Mul                  Opcode = prefixFD | 0x95
	OpI16x8MinS                 Opcode = prefixFD | 0x96
	OpI16x8MinU                 Opcode = prefixFD | 0x97
	OpI16x8MaxS                 Opcode = prefixFD | 0x98
	OpI16x8MaxU                 Opcode = prefixFD | 0x99
	OpI16x8AvgrU                Opcode = prefixFD | 0x9b
	OpI16x8ExtmulLowI8x16S      Opcode = prefixFD | 0x9c
	OpI16x8ExtmulHighI8x16S     Opcode = prefixFD | 0x9d
	OpI16x8ExtmulLowI8x16U      Opcode = prefixFD | 0x9e
	OpI16x8ExtmulHighI8x16U     Opcode = prefixFD | 0x9f
	OpI32x4Abs                  Opcode = prefixFD | 0xa0
	OpI32x4Neg                  Opcode = prefixFD | 0xa1
	OpI32x4AllTrue              Opcode = prefixFD | 0xa3
	OpI32x4Bitmask              Opcode = prefixFD | 0xa4
	OpI32x4ExtendLowI16x8S      Opcode = prefixFD | 0xa7
	OpI32x4ExtendHighI16x8S     Opcode = prefixFD | 0xa8
	OpI32x4ExtendLowI16x8U      Opcode = prefixFD | 0xa9
	OpI32x4ExtendHighI16x8U     Opcode = prefixFD | 0xaa
	OpI32x4Shl                  Opcode = prefixFD | 0xab
	OpI32x4ShrS                 Opcode = prefixFD | 0xac
	OpI32x4ShrU                 Opcode = prefixFD | 0xad
	OpI32x4Add                  Opcode = prefixFD | 0xae
	OpI32x4Sub                  Opcode = prefixFD | 0xb1
	OpI32x4Mul                  Opcode = prefixFD | 0xb5
	OpI32x4MinS                 Opcode = prefixFD | 0xb6
	OpI32x4MinU                 Opcode = prefixFD | 0xb7
	OpI32x4MaxS                 Opcode = prefixFD | 0xb8
	OpI32x4MaxU                 Opcode = prefixFD | 0xb9
	OpI32x4DotI16x8S            Opcode = prefixFD | 0xba
	OpI32x4ExtmulLowI16x8S      Opcode = prefixFD | 0xbc
	OpI32x4ExtmulHighI16x8S     Opcode = prefixFD | 0xbd
	OpI32x4ExtmulLowI16x8U      Opcode = prefixFD | 0xbe
	OpI32x4ExtmulHighI16x8U     Opcode = prefixFD | 0xbf
	OpI64x2Abs                  Opcode = prefixFD | 0xc0
	OpI64x2Neg                  Opcode = prefixFD | 0xc1
	OpI64x2AllTrue              Opcode = prefixFD | 0xc3
	OpI64x2Bitmask              Opcode = prefixFD | 0xc4
	OpI64x2ExtendLowI32x4S      Opcode = prefixFD | 0xc7
	OpI64x2ExtendHighI32x4S     Opcode = prefixFD | 0xc8
	OpI64x2ExtendLowI32x4U      Opcode = prefixFD | 0xc9
	OpI64x2ExtendHighI32x4U     Opcode = prefixFD | 0xca
	OpI64x2Shl                  Opcode = prefixFD | 0xcb
	OpI64x2ShrS                 Opcode = prefixFD | 0xcc
	OpI64x2ShrU                 Opcode = prefixFD | 0xcd
	OpI64x2Add                  Opcode = prefixFD | 0xce
	OpI64x2Sub                  Opcode = prefixFD | 0xd1
	OpI64x2Mul                  Opcode = prefixFD | 0xd5
	OpI64x2Eq                   Opcode = prefixFD | 0xd6
	OpI64x2Ne                   Opcode = prefixFD | 0xd7
	OpI64x2LtS                  Opcode = prefixFD | 0xd8
	OpI64x2GtS                  Opcode = prefixFD | 0xd9
	OpI64x2LeS                  Opcode = prefixFD | 0xda
	OpI64x2GeS                  Opcode = prefixFD | 0xdb
	OpI64x2ExtmulLowI32x4S      Opcode = prefixFD | 0xdc
	OpI64x2ExtmulHighI32x4S     Opcode = prefixFD | 0xdd
	OpI64x2ExtmulLowI32x4U      Opcode = prefixFD | 0xde
	OpI64x2ExtmulHighI32x4U     Opcode = prefixFD | 0xdf
	OpF32x4Abs                  Opcode = prefixFD | 0xe0
	OpF32x4Neg                  Opcode = prefixFD | 0xe1
	OpF32x4Sqrt                 Opcode = prefixFD | 0xe3
	OpF32x4Add                  Opcode = prefixFD | 0xe4
	OpF32x4Sub                  Opcode = prefixFD | 0xe5
	OpF32x4Mul                  Opcode = prefixFD | 0xe6
	OpF32x4Div                  Opcode = prefixFD | 0xe7
	OpF32x4Min                  Opcode = prefixFD | 0xe8
	OpF32x4Max                  Opcode = prefixFD | 0xe9
	OpF32x4Pmin                 Opcode = prefixFD | 0xea
	OpF32x4Pmax                 Opcode = prefixFD | 0xeb
	OpF64x2Abs                  Opcode = prefixFD | 0xec
	OpF64x2Neg                  Opcode = prefixFD | 0xed
	OpF64x2Sqrt                 Opcode = prefixFD | 0xef
	OpF64x2Add                  Opcode = prefixFD | 0xf0
	OpF64x2Sub                  Opcode = prefixFD | 0xf1
	OpF64x2Mul                  Opcode = prefixFD | 0xf2
	OpF64x2Div                  Opcode = prefixFD | 0xf3
	OpF64x2Min                  Opcode = prefixFD | 0xf4
	OpF64x2Max                  Opcode = prefixFD | 0xf5
	OpF64x2Pmin                 Opcode = prefixFD | 0xf6
	OpF64x2Pmax                 Opcode = prefixFD | 0xf7
	OpI32x4TruncSatF32x4S       Opcode = prefixFD | 0xf8
	OpI32x4TruncSatF32x4U       Opcode = prefixFD | 0xf9
	OpF32x4ConvertI32x4S        Opcode = prefixFD | 0xfa
	OpF32x4ConvertI32x4U        Opcode = prefixFD | 0xfb
	OpI32x4TruncSatF64x2SZero   Opcode = prefixFD | 0xfc
	OpI32x4TruncSatF64x2UZero   Opcode = prefixFD | 0xfd
	OpF64x2ConvertLowI32x4S     Opcode = prefixFD | 0xfe
	OpF64x2ConvertLowI32x4U     Opcode = prefixFD | 0xff

	// Prefix 0xFE: atomics.

	OpMemoryAtomicNotify     Opcode = prefixFE
	OpMemoryAtomicWait32     Opcode = prefixFE | 0x01
	OpMemoryAtomicWait64     Opcode = prefixFE | 0x02
	OpAtomicFence            Opcode = prefixFE | 0x03
	OpI32AtomicLoad          Opcode = prefixFE | 0x10
	OpI64AtomicLoad          Opcode = prefixFE | 0x11
	OpI32AtomicLoad8U        Opcode = prefixFE | 0x12
	OpI32AtomicLoad16U       Opcode = prefixFE | 0x13
	OpI64AtomicLoad8U        Opcode = prefixFE | 0x14
	OpI64AtomicLoad16U       Opcode = prefixFE | 0x15
	OpI64AtomicLoad32U       Opcode = prefixFE | 0x16
	OpI32AtomicStore         Opcode = prefixFE | 0x17
	OpI64AtomicStore         Opcode = prefixFE | 0x18
	OpI32AtomicStore8        Opcode = prefixFE | 0x19
	OpI32AtomicStore16       Opcode = prefixFE | 0x1a
	OpI64AtomicStore8        Opcode = prefixFE | 0x1b
	OpI64AtomicStore16       Opcode = prefixFE | 0x1c
	OpI64AtomicStore32       Opcode = prefixFE | 0x1d
	OpI32AtomicRmwAdd        Opcode = prefixFE | 0x1e
	OpI64AtomicRmwAdd        Opcode = prefixFE | 0x1f
	OpI32AtomicRmw8AddU      Opcode = prefixFE | 0x20
	OpI32AtomicRmw16AddU     Opcode = prefixFE | 0x21
	OpI64AtomicRmw8AddU      Opcode = prefixFE | 0x22
	OpI64AtomicRmw16AddU     Opcode = prefixFE | 0x23
	OpI64AtomicRmw32AddU     Opcode = prefixFE | 0x24
	OpI32AtomicRmwSub        Opcode = prefixFE | 0x25
	OpI64AtomicRmwSub        Opcode = prefixFE | 0x26
	OpI32AtomicRmw8SubU      Opcode = prefixFE | 0x27
	OpI32AtomicRmw16SubU     Opcode = prefixFE | 0x28
	OpI64AtomicRmw8SubU      Opcode = prefixFE | 0x29
	OpI64AtomicRmw16SubU     Opcode = prefixFE | 0x2a
	OpI64AtomicRmw32SubU     Opcode = prefixFE | 0x2b
	OpI32AtomicRmwAnd        Opcode = prefixFE | 0x2c
	OpI64AtomicRmwAnd        Opcode = prefixFE | 0x2d
	OpI32AtomicRmw8AndU      Opcode = prefixFE | 0x2e
	OpI32AtomicRmw16AndU     Opcode = prefixFE | 0x2f
	OpI64AtomicRmw8AndU      Opcode = prefixFE | 0x30
	OpI64AtomicRmw16AndU     Opcode = prefixFE | 0x31
	OpI64AtomicRmw32AndU     Opcode = prefixFE | 0x32
	OpI32AtomicRmwOr         Opcode = prefixFE | 0x33
	OpI64AtomicRmwOr         Opcode = prefixFE | 0x34
	OpI32AtomicRmw8OrU       Opcode = prefixFE | 0x35
	OpI32AtomicRmw16OrU      Opcode = prefixFE | 0x36
	OpI64AtomicRmw8OrU       Opcode = prefixFE | 0x37
	OpI64AtomicRmw16OrU      Opcode = prefixFE | 0x38
	OpI64AtomicRmw32OrU      Opcode = prefixFE | 0x39
	OpI32AtomicRmwXor        Opcode = prefixFE | 0x3a
	OpI64AtomicRmwXor        Opcode = prefixFE | 0x3b
	OpI32AtomicRmw8XorU      Opcode = prefixFE | 0x3c
	OpI32AtomicRmw16XorU     Opcode = prefixFE | 0x3d
	OpI64AtomicRmw8XorU      Opcode = prefixFE | 0x3e
	OpI64AtomicRmw16XorU     Opcode = prefixFE | 0x3f
	OpI64AtomicRmw32XorU     Opcode = prefixFE | 0x40
	OpI32AtomicRmwXchg       Opcode = prefixFE | 0x41
	OpI64AtomicRmwXchg       Opcode = prefixFE | 0x42
	OpI32AtomicRmw8XchgU     Opcode = prefixFE | 0x43
	OpI32AtomicRmw16XchgU    Opcode = prefixFE | 0x44
	OpI64AtomicRmw8XchgU     Opcode = prefixFE | 0x45
	OpI64AtomicRmw16XchgU    Opcode = prefixFE | 0x46
	OpI64AtomicRmw32XchgU    Opcode = prefixFE | 0x47
	OpI32AtomicRmwCmpxchg    Opcode = prefixFE | 0x48
	OpI64AtomicRmwCmpxchg    Opcode = prefixFE | 0x49
	OpI32AtomicRmw8CmpxchgU  Opcode = prefixFE | 0x4a
	OpI32AtomicRmw16CmpxchgU Opcode = prefixFE | 0x4b
	OpI64AtomicRmw8CmpxchgU  Opcode = prefixFE | 0x4c
	OpI64AtomicRmw16CmpxchgU Opcode = prefixFE | 0x4d
	OpI64AtomicRmw32CmpxchgU Opcode = prefixFE | 0x4e
)

// opRows says for each instruction how it is written, what it does to the
// operand stack, which immediates follow its code, and for those that access
// memory the width of the access.
//
// A signature is "operands:result" with a letter for each type: i is i32, l is
// i64, f is f32, d is f64 and v is v128. "*" depends on the immediates or on
// the surroundings; Walk knows how.
var opRows = [...]opRow{
	// Control flow.
	{OpUnreachable, "unreachable", "*", ImmNone, 0},
	{OpNop, "nop", ":", ImmNone, 0},
	{OpBlock, "block", "*", ImmBlock, 0},
	{OpLoop, "loop", "*", ImmBlock, 0},
	{OpIf, "if", "*", ImmBlock, 0},
	{OpElse, "else", "*", ImmNone, 0},
	{OpEnd, "end", "*", ImmNone, 0},
	{OpBr, "br", "*", ImmLabel, 0},
	{OpBrIf, "br_if", "*", ImmLabel, 0},
	{OpBrTable, "br_table", "*", ImmLabels, 0},
	{OpReturn, "return", "*", ImmNone, 0},
	{OpCall, "call", "*", ImmFunc, 0},
	{OpCallIndirect, "call_indirect", "*", ImmTypeTable, 0},
	{OpReturnCall, "return_call", "*", ImmFunc, 0},
	{OpReturnCallIndirect, "return_call_indirect", "*", ImmTypeTable, 0},
	{OpCallRef, "call_ref", "*", ImmType, 0},
	{OpReturnCallRef, "return_call_ref", "*", ImmType, 0},

	// Exceptions: the standard form, then the legacy one.
	{OpTry, "try", "*", ImmBlock, 0},
	{OpCatch, "catch", "*", ImmTag, 0},
	{OpThrow, "throw", "*", ImmTag, 0},
	{OpRethrow, "rethrow", "*", ImmLabel, 0},
	{OpThrowRef, "throw_ref", "*", ImmNone, 0},
	{OpDelegate, "delegate", "*", ImmLabel, 0},
	{OpCatchAll, "catch_all", "*", ImmNone, 0},
	{OpTryTable, "try_table", "*", ImmTryTable, 0},

	// Operands, variables and tables.
	{OpDrop, "drop", "*", ImmNone, 0},
	{OpSelect, "select", "*", ImmNone, 0},
	{OpSelectT, "select", "*", ImmTypes, 0},
	{OpLocalGet, "local.get", "*", ImmLocal, 0},
	{OpLocalSet, "local.set", "*", ImmLocal, 0},
	{OpLocalTee, "local.tee", "*", ImmLocal, 0},
	{OpGlobalGet, "global.get", "*", ImmGlobal, 0},
	{OpGlobalSet, "global.set", "*", ImmGlobal, 0},
	{OpTableGet, "table.get", "*", ImmTable, 0},
	{OpTableSet, "table.set", "*", ImmTable, 0},

	// Memory.
	{OpI32Load, "i32.load", "i:i", ImmMemarg, 2},
	{OpI64Load, "i64.load", "i:l", ImmMemarg, 3},
	{OpF32Load, "f32.load", "i:f", ImmMemarg, 2},
	{OpF64Load, "f64.load", "i:d", ImmMemarg, 3},
	{OpI32Load8S, "i32.load8_s", "i:i", ImmMemarg, 0},
	{OpI32Load8U, "i32.load8_u", "i:i", ImmMemarg, 0},
	{OpI32Load16S, "i32.load16_s", "i:i", ImmMemarg, 1},
	{OpI32Load16U, "i32.load16_u", "i:i", ImmMemarg, 1},
	{OpI64Load8S, "i64.load8_s", "i:l", ImmMemarg, 0},
	{OpI64Load8U, "i64.load8_u", "i:l", ImmMemarg, 0},
	{OpI64Load16S, "i64.load16_s", "i:l", ImmMemarg, 1},
	{OpI64Load16U, "i64.load16_u", "i:l", ImmMemarg, 1},
	{OpI64Load32S, "i64.load32_s", "i:l", ImmMemarg, 2},
	{OpI64Load32U, "i64.load32_u", "i:l", ImmMemarg, 2},
	{OpI32Store, "i32.store", "ii:", ImmMemarg, 2},
	{OpI64Store, "i64.store", "il:", ImmMemarg, 3},
	{OpF32Store, "f32.store", "if:", ImmMemarg, 2},
	{OpF64Store, "f64.store", "id:", ImmMemarg, 3},
	{OpI32Store8, "i32.store8", "ii:", ImmMemarg, 0},
	{OpI32Store16, "i32.store16", "ii:", ImmMemarg, 1},
	{OpI64Store8, "i64.store8", "il:", ImmMemarg, 0},
	{OpI64Store16, "i64.store16", "il:", ImmMemarg, 1},
	{OpI64Store32, "i64.store32", "il:", ImmMemarg, 2},
	{OpMemorySize, "memory.size", ":i", ImmMemory, 0},
	{OpMemoryGrow, "memory.grow", "i:i", ImmMemory, 0},

	// Constants.
	{OpI32Const, "i32.const", ":i", ImmI32, 0},
	{OpI64Const, "i64.const", ":l", ImmI64, 0},
	{OpF32Const, "f32.const", ":f", ImmF32, 0},
	{OpF64Const, "f64.const", ":d", ImmF64, 0},

	// Numbers.
	{OpI32Eqz, "i32.eqz", "i:i", ImmNone, 0},
	{OpI32Eq, "i32.eq", "ii:i", ImmNone, 0},
	{OpI32Ne, "i32.ne", "ii:i", ImmNone, 0},
	{OpI32LtS, "i32.lt_s", "ii:i", ImmNone, 0},
	{OpI32LtU, "i32.lt_u", "ii:i", ImmNone, 0},
	{OpI32GtS, "i32.gt_s", "ii:i", ImmNone, 0},
	{OpI32GtU, "i32.gt_u", "ii:i", ImmNone, 0},
	{OpI32LeS, "i32.le_s", "ii:i", ImmNone, 0},
	{OpI32LeU, "i32.le_u", "ii:i", ImmNone, 0},
	{OpI32GeS, "i32.ge_s", "ii:i", ImmNone, 0},
	{OpI32GeU, "i32.ge_u", "ii:i", ImmNone, 0},
	{OpI64Eqz, "i64.eqz", "l:i", ImmNone, 0},
	{OpI64Eq, "i64.eq", "ll:i", ImmNone, 0},
	{OpI64Ne, "i64.ne", "ll:i", ImmNone, 0},
	{OpI64LtS, "i64.lt_s", "ll:i", ImmNone, 0},
	{OpI64LtU, "i64.lt_u", "ll:i", ImmNone, 0},
	{OpI64GtS, "i64.gt_s", "ll:i", ImmNone, 0},
	{OpI64GtU, "i64.gt_u", "ll:i", ImmNone, 0},
	{OpI64LeS, "i64.le_s", "ll:i", ImmNone, 0},
	{OpI64LeU, "i64.le_u", "ll:i", ImmNone, 0},
	{OpI64GeS, "i64.ge_s", "ll:i", ImmNone, 0},
	{OpI64GeU, "i64.ge_u", "ll:i", ImmNone, 0},
	{OpF32Eq, "f32.eq", "ff:i", ImmNone, 0},
	{OpF32Ne, "f32.ne", "ff:i", ImmNone, 0},
	{OpF32Lt, "f32.lt", "ff:i", ImmNone, 0},
	{OpF32Gt, "f32.gt", "ff:i", ImmNone, 0},
	{OpF32Le, "f32.le", "ff:i", ImmNone, 0},
	{OpF32Ge, "f32.ge", "ff:i", ImmNone, 0},
	{OpF64Eq, "f64.eq", "dd:i", ImmNone, 0},
	{OpF64Ne, "f64.ne", "dd:i", ImmNone, 0},
	{OpF64Lt, "f64.lt", "dd:i", ImmNone, 0},
	{OpF64Gt, "f64.gt", "dd:i", ImmNone, 0},
	{OpF64Le, "f64.le", "dd:i", ImmNone, 0},
	{OpF64Ge, "f64.ge", "dd:i", ImmNone, 0},
	{OpI32Clz, "i32.clz", "i:i", ImmNone, 0},
	{OpI32Ctz, "i32.ctz", "i:i", ImmNone, 0},
	{OpI32Popcnt, "i32.popcnt", "i:i", ImmNone, 0},
	{OpI32Add, "i32.add", "ii:i", ImmNone, 0},
	{OpI32Sub, "i32.sub", "ii:i", ImmNone, 0},
	{OpI32Mul, "i32.mul", "ii:i", ImmNone, 0},
	{OpI32DivS, "i32.div_s", "ii:i", ImmNone, 0},
	{OpI32DivU, "i32.div_u", "ii:i", ImmNone, 0},
	{OpI32RemS, "i32.rem_s", "ii:i", ImmNone, 0},
	{OpI32RemU, "i32.rem_u", "ii:i", ImmNone, 0},
	{OpI32And, "i32.and", "ii:i", ImmNone, 0},
	{OpI32Or, "i32.or", "ii:i", ImmNone, 0},
	{OpI32Xor, "i32.xor", "ii:i", ImmNone, 0},
	{OpI32Shl, "i32.shl", "ii:i", ImmNone, 0},
	{OpI32ShrS, "i32.shr_s", "ii:i", ImmNone, 0},
	{OpI32ShrU, "i32.shr_u", "ii:i", ImmNone, 0},
	{OpI32Rotl, "i32.rotl", "ii:i", ImmNone, 0},
	{OpI32Rotr, "i32.rotr", "ii:i", ImmNone, 0},
	{OpI64Clz, "i64.clz", "l:l", ImmNone, 0},
	{OpI64Ctz, "i64.ctz", "l:l", ImmNone, 0},
	{OpI64Popcnt, "i64.popcnt", "l:l", ImmNone, 0},
	{OpI64Add, "i64.add", "ll:l", ImmNone, 0},
	{OpI64Sub, "i64.sub", "ll:l", ImmNone, 0},
	{OpI64Mul, "i64.mul", "ll:l", ImmNone, 0},
	{OpI64DivS, "i64.div_s", "ll:l", ImmNone, 0},
	{OpI64DivU, "i64.div_u", "ll:l", ImmNone, 0},
	{OpI64RemS, "i64.rem_s", "ll:l", ImmNone, 0},
	{OpI64RemU, "i64.rem_u", "ll:l", ImmNone, 0},
	{OpI64And, "i64.and", "ll:l", ImmNone, 0},
	{OpI64Or, "i64.or", "ll:l", ImmNone, 0},
	{OpI64Xor, "i64.xor", "ll:l", ImmNone, 0},
	{OpI64Shl, "i64.shl", "ll:l", ImmNone, 0},
	{OpI64ShrS, "i64.shr_s", "ll:l", ImmNone, 0},
	{OpI64ShrU, "i64.shr_u", "ll:l", ImmNone, 0},
	{OpI64Rotl, "i64.rotl", "ll:l", ImmNone, 0},
	{OpI64Rotr, "i64.rotr", "ll:l", ImmNone, 0},
	{OpF32Abs, "f32.abs", "f:f", ImmNone, 0},
	{OpF32Neg, "f32.neg", "f:f", ImmNone, 0},
	{OpF32Ceil, "f32.ceil", "f:f", ImmNone, 0},
	{OpF32Floor, "f32.floor", "f:f", ImmNone, 0},
	{OpF32Trunc, "f32.trunc", "f:f", ImmNone, 0},
	{OpF32Nearest, "f32.nearest", "f:f", ImmNone, 0},
	{OpF32Sqrt, "f32.sqrt", "f:f", ImmNone, 0},
	{OpF32Add, "f32.add", "ff:f", ImmNone, 0},
	{OpF32Sub, "f32.sub", "ff:f", ImmNone, 0},
	{OpF32Mul, "f32.mul", "ff:f", ImmNone, 0},
	{OpF32Div, "f32.div", "ff:f", ImmNone, 0},
	{OpF32Min, "f32.min", "ff:f", ImmNone, 0},
	{OpF32Max, "f32.max", "ff:f", ImmNone, 0},
	{OpF32Copysign, "f32.copysign", "ff:f", ImmNone, 0},
	{OpF64Abs, "f64.abs", "d:d", ImmNone, 0},
	{OpF64Neg, "f64.neg", "d:d", ImmNone, 0},
	{OpF64Ceil, "f64.ceil", "d:d", ImmNone, 0},
	{OpF64Floor, "f64.floor", "d:d", ImmNone, 0},
	{OpF64Trunc, "f64.trunc", "d:d", ImmNone, 0},
	{OpF64Nearest, "f64.nearest", "d:d", ImmNone, 0},
	{OpF64Sqrt, "f64.sqrt", "d:d", ImmNone, 0},
	{OpF64Add, "f64.add", "dd:d", ImmNone, 0},
	{OpF64Sub, "f64.sub", "dd:d", ImmNone, 0},
	{OpF64Mul, "f64.mul", "dd:d", ImmNone, 0},
	{OpF64Div, "f64.div", "dd:d", ImmNone, 0},
	{OpF64Min, "f64.min", "dd:d", ImmNone, 0},
	{OpF64Max, "f64.max", "dd:d", ImmNone, 0},
	{OpF64Copysign, "f64.copysign", "dd:d", ImmNone, 0},
	{OpI32WrapI64, "i32.wrap_i64", "l:i", ImmNone, 0},
	{OpI32TruncF32S, "i32.trunc_f32_s", "f:i", ImmNone, 0},
	{OpI32TruncF32U, "i32.trunc_f32_u", "f:i", ImmNone, 0},
	{OpI32TruncF64S, "i32.trunc_f64_s", "d:i", ImmNone, 0},
	{OpI32TruncF64U, "i32.trunc_f64_u", "d:i", ImmNone, 0},
	{OpI64ExtendI32S, "i64.extend_i32_s", "i:l", ImmNone, 0},
	{OpI64ExtendI32U, "i64.extend_i32_u", "i:l", ImmNone, 0},
	{OpI64TruncF32S, "i64.trunc_f32_s", "f:l", ImmNone, 0},
	{OpI64TruncF32U, "i64.trunc_f32_u", "f:l", ImmNone, 0},
	{OpI64TruncF64S, "i64.trunc_f64_s", "d:l", ImmNone, 0},
	{OpI64TruncF64U, "i64.trunc_f64_u", "d:l", ImmNone, 0},
	{OpF32ConvertI32S, "f32.convert_i32_s", "i:f", ImmNone, 0},
	{OpF32ConvertI32U, "f32.convert_i32_u", "i:f", ImmNone, 0},
	{OpF32ConvertI64S, "f32.convert_i64_s", "l:f", ImmNone, 0},
	{OpF32ConvertI64U, "f32.convert_i64_u", "l:f", ImmNone, 0},
	{OpF32DemoteF64, "f32.demote_f64", "d:f", ImmNone, 0},
	{OpF64ConvertI32S, "f64.convert_i32_s", "i:d", ImmNone, 0},
	{OpF64ConvertI32U, "f64.convert_i32_u", "i:d", ImmNone, 0},
	{OpF64ConvertI64S, "f64.convert_i64_s", "l:d", ImmNone, 0},
	{OpF64ConvertI64U, "f64.convert_i64_u", "l:d", ImmNone, 0},
	{OpF64PromoteF32, "f64.promote_f32", "f:d", ImmNone, 0},
	{OpI32ReinterpretF32, "i32.reinterpret_f32", "f:i", ImmNone, 0},
	{OpI64ReinterpretF64, "i64.reinterpret_f64", "d:l", ImmNone, 0},
	{OpF32ReinterpretI32, "f32.reinterpret_i32", "i:f", ImmNone, 0},
	{OpF64ReinterpretI64, "f64.reinterpret_i64", "l:d", ImmNone, 0},
	{OpI32Extend8S, "i32.extend8_s", "i:i", ImmNone, 0},
	{OpI32Extend16S, "i32.extend16_s", "i:i", ImmNone, 0},
	{OpI64Extend8S, "i64.extend8_s", "l:l", ImmNone, 0},
	{OpI64Extend16S, "i64.extend16_s", "l:l", ImmNone, 0},
	{OpI64Extend32S, "i64.extend32_s", "l:l", ImmNone, 0},

	// References.
	{OpRefNull, "ref.null", "*", ImmHeap, 0},
	{OpRefIsNull, "ref.is_null", "*", ImmNone, 0},
	{OpRefFunc, "ref.func", "*", ImmFunc, 0},
	{OpRefAsNonNull, "ref.as_non_null", "*", ImmNone, 0},
	{OpBrOnNull, "br_on_null", "*", ImmLabel, 0},
	{OpBrOnNonNull, "br_on_non_null", "*", ImmLabel, 0},

	// Prefix 0xFC: saturating conversions and bulk operations.
	{OpI32TruncSatF32S, "i32.trunc_sat_f32_s", "f:i", ImmNone, 0},
	{OpI32TruncSatF32U, "i32.trunc_sat_f32_u", "f:i", ImmNone, 0},
	{OpI32TruncSatF64S, "i32.trunc_sat_f64_s", "d:i", ImmNone, 0},
	{OpI32TruncSatF64U, "i32.trunc_sat_f64_u", "d:i", ImmNone, 0},
	{OpI64TruncSatF32S, "i64.trunc_sat_f32_s", "f:l", ImmNone, 0},
	{OpI64TruncSatF32U, "i64.trunc_sat_f32_u", "f:l", ImmNone, 0},
	{OpI64TruncSatF64S, "i64.trunc_sat_f64_s", "d:l", ImmNone, 0},
	{OpI64TruncSatF64U, "i64.trunc_sat_f64_u", "d:l", ImmNone, 0},
	{OpMemoryInit, "memory.init", "iii:", ImmDataMemory, 0},
	{OpDataDrop, "data.drop", ":", ImmData, 0},
	{OpMemoryCopy, "memory.copy", "iii:", ImmMemory2, 0},
	{OpMemoryFill, "memory.fill", "iii:", ImmMemory, 0},
	{OpTableInit, "table.init", "*", ImmElemTable, 0},
	{OpElemDrop, "elem.drop", "*", ImmElem, 0},
	{OpTableCopy, "table.copy", "*", ImmTable2, 0},
	{OpTableGrow, "table.grow", "*", ImmTable, 0},
	{OpTableSize, "table.size", "*", ImmTable, 0},
	{OpTableFill, "table.fill", "*", ImmTable, 0},

	// Prefix 0xFD: vectors.
	{OpV128Load, "v128.load", "i:v", ImmMemarg, 4},
	{OpV128Load8x8S, "v128.load8x8_s", "i:v", ImmMemarg, 3},
	{OpV128Load8x8U, "v128.load8x8_u", "i:v", ImmMemarg, 3},
	{OpV128Load16x4S, "v128.load16x4_s", "i:v", ImmMemarg, 3},
	{OpV128Load16x4U, "v128.load16x4_u", "i:v", ImmMemarg, 3},
	{OpV128Load32x2S, "v128.load32x2_s", "i:v", ImmMemarg, 3},
	{OpV128Load32x2U, "v128.load32x2_u", "i:v", ImmMemarg, 3},
	{OpV128Load8Splat, "v128.load8_splat", "i:v", ImmMemarg, 0},
	{OpV128Load16Splat, "v128.load16_splat", "i:v", ImmMemarg, 1},
	{OpV128Load32Splat, "v128.load32_splat", "i:v", ImmMemarg, 2},
	{OpV128Load64Splat, "v128.load64_splat", "i:v", ImmMemarg, 3},
	{OpV128Store, "v128.store", "iv:", ImmMemarg, 4},
	{OpV128Const, "v128.const", ":v", ImmV128, 0},
	{OpI8x16Shuffle, "i8x16.shuffle", "vv:v", ImmShuffle, 0},
	{OpI8x16Swizzle, "i8x16.swizzle", "vv:v", ImmNone, 0},
	{OpI8x16Splat, "i8x16.splat", "i:v", ImmNone, 0},
	{OpI16x8Splat, "i16x8.splat", "i:v", ImmNone, 0},
	{OpI32x4Splat, "i32x4.splat", "i:v", ImmNone, 0},
	{OpI64x2Splat, "i64x2.splat", "l:v", ImmNone, 0},
	{OpF32x4Splat, "f32x4.splat", "f:v", ImmNone, 0},
	{OpF64x2Splat, "f64x2.splat", "d:v", ImmNone, 0},
	{OpI8x16ExtractLaneS, "i8x16.extract_lane_s", "v:i", ImmLane, 0},
	{OpI8x16ExtractLaneU, "i8x16.extract_lane_u", "v:i", ImmLane, 0},
	{OpI8x16ReplaceLane, "i8x16.replace_lane", "vi:v", ImmLane, 0},
	{OpI16x8ExtractLaneS, "i16x8.extract_lane_s", "v:i", ImmLane, 0},
	{OpI16x8ExtractLaneU, "i16x8.extract_lane_u", "v:i", ImmLane, 0},
	{OpI16x8ReplaceLane, "i16x8.replace_lane", "vi:v", ImmLane, 0},
	{OpI32x4ExtractLane, "i32x4.extract_lane", "v:i", ImmLane, 0},
	{OpI32x4ReplaceLane, "i32x4.replace_lane", "vi:v", ImmLane, 0},
	{OpI64x2ExtractLane, "i64x2.extract_lane", "v:l", ImmLane, 0},
	{OpI64x2ReplaceLane, "i64x2.replace_lane", "vl:v", ImmLane, 0},
	{OpF32x4ExtractLane, "f32x4.extract_lane", "v:f", ImmLane, 0},
	{OpF32x4ReplaceLane, "f32x4.replace_lane", "vf:v", ImmLane, 0},
	{OpF64x2ExtractLane, "f64x2.extract_lane", "v:d", ImmLane, 0},
	{OpF64x2ReplaceLane, "f64x2.replace_lane", "vd:v", ImmLane, 0},
	{OpI8x16Eq, "i8x16.eq", "vv:v", ImmNone, 0},
	{OpI8x16Ne, "i8x16.ne", "vv:v", ImmNone, 0},
	{OpI8x16LtS, "i8x16.lt_s", "vv:v", ImmNone, 0},
	{OpI8x16LtU, "i8x16.lt_u", "vv:v", ImmNone, 0},
	{OpI8x16GtS, "i8x16.gt_s", "vv:v", ImmNone, 0},
	{OpI8x16GtU, "i8x16.gt_u", "vv:v", ImmNone, 0},
	{OpI8x16LeS, "i8x16.le_s", "vv:v", ImmNone, 0},
	{OpI8x16LeU, "i8x16.le_u", "vv:v", ImmNone, 0},
	{OpI8x16GeS, "i8x16.ge_s", "vv:v", ImmNone, 0},
	{OpI8x16GeU, "i8x16.ge_u", "vv:v", ImmNone, 0},
	{OpI16x8Eq, "i16x8.eq", "vv:v", ImmNone, 0},
	{OpI16x8Ne, "i16x8.ne", "vv:v", ImmNone, 0},
	{OpI16x8LtS, "i16x8.lt_s", "vv:v", ImmNone, 0},
	{OpI16x8LtU, "i16x8.lt_u", "vv:v", ImmNone, 0},
	{OpI16x8GtS, "i16x8.gt_s", "vv:v", ImmNone, 0},
	{OpI16x8GtU, "i16x8.gt_u", "vv:v", ImmNone, 0},
	{OpI16x8LeS, "i16x8.le_s", "vv:v", ImmNone, 0},
	{OpI16x8LeU, "i16x8.le_u", "vv:v", ImmNone, 0},
	{OpI16x8GeS, "i16x8.ge_s", "vv:v", ImmNone, 0},
	{OpI16x8GeU, "i16x8.ge_u", "vv:v", ImmNone, 0},
	{OpI32x4Eq, "i32x4.eq", "vv:v", ImmNone, 0},
	{OpI32x4Ne, "i32x4.ne", "vv:v", ImmNone, 0},
	{OpI32x4LtS, "i32x4.lt_s", "vv:v", ImmNone, 0},
	{OpI32x4LtU, "i32x4.lt_u", "vv:v", ImmNone, 0},
	{OpI32x4GtS, "i32x4.gt_s", "vv:v", ImmNone, 0},
	{OpI32x4GtU, "i32x4.gt_u", "vv:v", ImmNone, 0},
	{OpI32x4LeS, "i32x4.le_s", "vv:v", ImmNone, 0},
	{OpI32x4LeU, "i32x4.le_u", "vv:v", ImmNone, 0},
	{OpI32x4GeS, "i32x4.ge_s", "vv:v", ImmNone, 0},
	{OpI32x4GeU, "i32x4.ge_u", "vv:v", ImmNone, 0},
	{OpF32x4Eq, "f32x4.eq", "vv:v", ImmNone, 0},
	{OpF32x4Ne, "f32x4.ne", "vv:v", ImmNone, 0},
	{OpF32x4Lt, "f32x4.lt", "vv:v", ImmNone, 0},
	{OpF32x4Gt, "f32x4.gt", "vv:v", ImmNone, 0},
	{OpF32x4Le, "f32x4.le", "vv:v", ImmNone, 0},
	{OpF32x4Ge, "f32x4.ge", "vv:v", ImmNone, 0},
	{OpF64x2Eq, "f64x2.eq", "vv:v", ImmNone, 0},
	{OpF64x2Ne, "f64x2.ne", "vv:v", ImmNone, 0},
	{OpF64x2Lt, "f64x2.lt", "vv:v", ImmNone, 0},
	{OpF64x2Gt, "f64x2.gt", "vv:v", ImmNone, 0},
	{OpF64x2Le, "f64x2.le", "vv:v", ImmNone, 0},
	{OpF64x2Ge, "f64x2.ge", "vv:v", ImmNone, 0},
	{OpV128Not, "v128.not", "v:v", ImmNone, 0},
	{OpV128And, "v128.and", "vv:v", ImmNone, 0},
	{OpV128Andnot, "v128.andnot", "vv:v", ImmNone, 0},
	{OpV128Or, "v128.or", "vv:v", ImmNone, 0},
	{OpV128Xor, "v128.xor", "vv:v", ImmNone, 0},
	{OpV128Bitselect, "v128.bitselect", "vvv:v", ImmNone, 0},
	{OpV128AnyTrue, "v128.any_true", "v:i", ImmNone, 0},
	{OpV128Load8Lane, "v128.load8_lane", "iv:v", ImmMemargLane, 0},
	{OpV128Load16Lane, "v128.load16_lane", "iv:v", ImmMemargLane, 1},
	{OpV128Load32Lane, "v128.load32_lane", "iv:v", ImmMemargLane, 2},
	{OpV128Load64Lane, "v128.load64_lane", "iv:v", ImmMemargLane, 3},
	{OpV128Store8Lane, "v128.store8_lane", "iv:", ImmMemargLane, 0},
	{OpV128Store16Lane, "v128.store16_lane", "iv:", ImmMemargLane, 1},
	{OpV128Store32Lane, "v128.store32_lane", "iv:", ImmMemargLane, 2},
	{OpV128Store64Lane, "v128.store64_lane", "iv:", ImmMemargLane, 3},
	{OpV128Load32Zero, "v128.load32_zero", "i:v", ImmMemarg, 2},
	{OpV128Load64Zero, "v128.load64_zero", "i:v", ImmMemarg, 3},
	{OpF32x4DemoteF64x2Zero, "f32x4.demote_f64x2_zero", "v:v", ImmNone, 0},
	{OpF64x2PromoteLowF32x4, "f64x2.promote_low_f32x4", "v:v", ImmNone, 0},
	{OpI8x16Abs, "i8x16.abs", "v:v", ImmNone, 0},
	{OpI8x16Neg, "i8x16.neg", "v:v", ImmNone, 0},
	{OpI8x16Popcnt, "i8x16.popcnt", "v:v", ImmNone, 0},
	{OpI8x16AllTrue, "i8x16.all_true", "v:i", ImmNone, 0},
	{OpI8x16Bitmask, "i8x16.bitmask", "v:i", ImmNone, 0},
	{OpI8x16NarrowI16x8S, "i8x16.narrow_i16x8_s", "vv:v", ImmNone, 0},
	{OpI8x16NarrowI16x8U, "i8x16.narrow_i16x8_u", "vv:v", ImmNone, 0},
	{OpF32x4Ceil, "f32x4.ceil", "v:v", ImmNone, 0},
	{OpF32x4Floor, "f32x4.floor", "v:v", ImmNone, 0},
	{OpF32x4Trunc, "f32x4.trunc", "v:v", ImmNone, 0},
	{OpF32x4Nearest, "f32x4.nearest", "v:v", ImmNone, 0},
	{OpI8x16Shl, "i8x16.shl", "vi:v", ImmNone, 0},
	{OpI8x16ShrS, "i8x16.shr_s", "vi:v", ImmNone, 0},
	{OpI8x16ShrU, "i8x16.shr_u", "vi:v", ImmNone, 0},
	{OpI8x16Add, "i8x16.add", "vv:v", ImmNone, 0},
	{OpI8x16AddSatS, "i8x16.add_sat_s", "vv:v", ImmNone, 0},
	{OpI8x16AddSatU, "i8x16.add_sat_u", "vv:v", ImmNone, 0},
	{OpI8x16Sub, "i8x16.sub", "vv:v", ImmNone, 0},
	{OpI8x16SubSatS, "i8x16.sub_sat_s", "vv:v", ImmNone, 0},
	{OpI8x16SubSatU, "i8x16.sub_sat_u", "vv:v", ImmNone, 0},
	{OpF64x2Ceil, "f64x2.ceil", "v:v", ImmNone, 0},
	{OpF64x2Floor, "f64x2.floor", "v:v", ImmNone, 0},
	{OpI8x16MinS, "i8x16.min_s", "vv:v", ImmNone, 0},
	{OpI8x16MinU, "i8x16.min_u", "vv:v", ImmNone, 0},
	{OpI8x16MaxS, "i8x16.max_s", "vv:v", ImmNone, 0},
	{OpI8x16MaxU, "i8x16.max_u", "vv:v", ImmNone, 0},
	{OpF64x2Trunc, "f64x2.trunc", "v:v", ImmNone, 0},
	{OpI8x16AvgrU, "i8x16.avgr_u", "vv:v", ImmNone, 0},
	{OpI16x8ExtaddPairwiseI8x16S, "i16x8.extadd_pairwise_i8x16_s", "v:v", ImmNone, 0},
	{OpI16x8ExtaddPairwiseI8x16U, "i16x8.extadd_pairwise_i8x16_u", "v:v", ImmNone, 0},
	{OpI32x4ExtaddPairwiseI16x8S, "i32x4.extadd_pairwise_i16x8_s", "v:v", ImmNone, 0},
	{OpI32x4ExtaddPairwiseI16x8U, "i32x4.extadd_pairwise_i16x8_u", "v:v", ImmNone, 0},
	{OpI16x8Abs, "i16x8.abs", "v:v", ImmNone, 0},
	{OpI16x8Neg, "i16x8.neg", "v:v", ImmNone, 0},
	{OpI16x8Q15mulrSatS, "i16x8.q15mulr_sat_s", "vv:v", ImmNone, 0},
	{OpI16x8AllTrue, "i16x8.all_true", "v:i", ImmNone, 0},
	{OpI16x8Bitmask, "i16x8.bitmask", "v:i", ImmNone, 0},
	{OpI16x8NarrowI32x4S, "i16x8.narrow_i32x4_s", "vv:v", ImmNone, 0},
	{OpI16x8NarrowI32x4U, "i16x8.narrow_i32x4_u", "vv:v", ImmNone, 0},
	{OpI16x8ExtendLowI8x16S, "i16x8.extend_low_i8x16_s", "v:v", ImmNone, 0},
	{OpI16x8ExtendHighI8x16S, "i16x8.extend_high_i8x16_s", "v:v", ImmNone, 0},
	{OpI16x8ExtendLowI8x16U, "i16x8.extend_low_i8x16_u", "v:v", ImmNone, 0},
	{OpI16x8ExtendHighI8x16U, "i16x8.extend_high_i8x16_u", "v:v", ImmNone, 0},
	{OpI16x8Shl, "i16x8.shl", "vi:v", ImmNone, 0},
	{OpI16x8ShrS, "i16x8.shr_s", "vi:v", ImmNone, 0},
	{OpI16x8ShrU, "i16x8.shr_u", "vi:v", ImmNone, 0},
	{OpI16x8Add, "i16x8.add", "vv:v", ImmNone, 0},
	{OpI16x8AddSatS, "i16x8.add_sat_s", "vv:v", ImmNone, 0},
	{OpI16x8AddSatU, "i16x8.add_sat_u", "vv:v", ImmNone, 0},
	{OpI16x8Sub, "i16x8.sub", "vv:v", ImmNone, 0},
	{OpI16x8SubSatS, "i16x8.sub_sat_s", "vv:v", ImmNone, 0},
	{OpI16x8SubSatU, "i16x8.sub_sat_u", "vv:v", ImmNone, 0},
	{OpF64x2Nearest, "f64x2.nearest", "v:v", ImmNone, 0},
	{OpI16x8Mul, "i16x8.mul", "vv:v", ImmNone, 0},
	{OpI16x8MinS, "i16x8.min_s", "vv:v", ImmNone, 0},
	{OpI16x8MinU, "i16x8.min_u", "vv:v", ImmNone, 0},
	{OpI16x8MaxS, "i16x8.max_s", "vv:v", ImmNone, 0},
	{OpI16x8MaxU, "i16x8.max_u", "vv:v", ImmNone, 0},
	{OpI16x8AvgrU, "i16x8.avgr_u", "vv:v", ImmNone, 0},
	{OpI16x8ExtmulLowI8x16S, "i16x8.extmul_low_i8x16_s", "vv:v", ImmNone, 0},
	{OpI16x8ExtmulHighI8x16S, "i16x8.extmul_high_i8x16_s", "vv:v", ImmNone, 0},
	{OpI16x8ExtmulLowI8x16U, "i16x8.extmul_low_i8x16_u", "vv:v", ImmNone, 0},
	{OpI16x8ExtmulHighI8x16U, "i16x8.extmul_high_i8x16_u", "vv:v", ImmNone, 0},
	{OpI32x4Abs, "i32x4.abs", "v:v", ImmNone, 0},
	{OpI32x4Neg, "i32x4.neg", "v:v", ImmNone, 0},
	{OpI32x4AllTrue, "i32x4.all_true", "v:i", ImmNone, 0},
	{OpI32x4Bitmask, "i32x4.bitmask", "v:i", ImmNone, 0},
	{OpI32x4ExtendLowI16x8S, "i32x4.extend_low_i16x8_s", "v:v", ImmNone, 0},
	{OpI32x4ExtendHighI16x8S, "i32x4.extend_high_i16x8_s", "v:v", ImmNone, 0},
	{OpI32x4ExtendLowI16x8U, "i32x4.extend_low_i16x8_u", "v:v", ImmNone, 0},
	{OpI32x4ExtendHighI16x8U, "i32x4.extend_high_i16x8_u", "v:v", ImmNone, 0},
	{OpI32x4Shl, "i32x4.shl", "vi:v", ImmNone, 0},
	{OpI32x4ShrS, "i32x4.shr_s", "vi:v", ImmNone, 0},
	{OpI32x4ShrU, "i32x4.shr_u", "vi:v", ImmNone, 0},
	{OpI32x4Add, "i32x4.add", "vv:v", ImmNone, 0},
	{OpI32x4Sub, "i32x4.sub", "vv:v", ImmNone, 0},
	{OpI32x4Mul, "i32x4.mul", "vv:v", ImmNone, 0},
	{OpI32x4MinS, "i32x4.min_s", "vv:v", ImmNone, 0},
	{OpI32x4MinU, "i32x4.min_u", "vv:v", ImmNone, 0},
	{OpI32x4MaxS, "i32x4.max_s", "vv:v", ImmNone, 0},
	{OpI32x4MaxU, "i32x4.max_u", "vv:v", ImmNone, 0},
	{OpI32x4DotI16x8S, "i32x4.dot_i16x8_s", "vv:v", ImmNone, 0},
	{OpI32x4ExtmulLowI16x8S, "i32x4.extmul_low_i16x8_s", "vv:v", ImmNone, 0},
	{OpI32x4ExtmulHighI16x8S, "i32x4.extmul_high_i16x8_s", "vv:v", ImmNone, 0},
	{OpI32x4ExtmulLowI16x8U, "i32x4.extmul_low_i16x8_u", "vv:v", ImmNone, 0},
	{OpI32x4ExtmulHighI16x8U, "i32x4.extmul_high_i16x8_u", "vv:v", ImmNone, 0},
	{OpI64x2Abs, "i64x2.abs", "v:v", ImmNone, 0},
	{OpI64x2Neg, "i64x2.neg", "v:v", ImmNone, 0},
	{OpI64x2AllTrue, "i64x2.all_true", "v:i", ImmNone, 0},
	{OpI64x2Bitmask, "i64x2.bitmask", "v:i", ImmNone, 0},
	{OpI64x2ExtendLowI32x4S, "i64x2.extend_low_i32x4_s", "v:v", ImmNone, 0},
	{OpI64x2ExtendHighI32x4S, "i64x2.extend_high_i32x4_s", "v:v", ImmNone, 0},
	{OpI64x2ExtendLowI32x4U, "i64x2.extend_low_i32x4_u", "v:v", ImmNone, 0},
	{OpI64x2ExtendHighI32x4U, "i64x2.extend_high_i32x4_u", "v:v", ImmNone, 0},
	{OpI64x2Shl, "i64x2.shl", "vi:v", ImmNone, 0},
	{OpI64x2ShrS, "i64x2.shr_s", "vi:v", ImmNone, 0},
	{OpI64x2ShrU, "i64x2.shr_u", "vi:v", ImmNone, 0},
	{OpI64x2Add, "i64x2.add", "vv:v", ImmNone, 0},
	{OpI64x2Sub, "i64x2.sub", "vv:v", ImmNone, 0},
	{OpI64x2Mul, "i64x2.mul", "vv:v", ImmNone, 0},
	{OpI64x2Eq, "i64x2.eq", "vv:v", ImmNone, 0},
	{OpI64x2Ne, "i64x2.ne", "vv:v", ImmNone, 0},
	{OpI64x2LtS, "i64x2.lt_s", "vv:v", ImmNone, 0},
	{OpI64x2GtS, "i64x2.gt_s", "vv:v", ImmNone, 0},
	{OpI64x2LeS, "i64x2.le_s", "vv:v", ImmNone, 0},
	{OpI64x2GeS, "i64x2.ge_s", "vv:v", ImmNone, 0},
	{OpI64x2ExtmulLowI32x4S, "i64x2.extmul_low_i32x4_s", "vv:v", ImmNone, 0},
	{OpI64x2ExtmulHighI32x4S, "i64x2.extmul_high_i32x4_s", "vv:v", ImmNone, 0},
	{OpI64x2ExtmulLowI32x4U, "i64x2.extmul_low_i32x4_u", "vv:v", ImmNone, 0},
	{OpI64x2ExtmulHighI32x4U, "i64x2.extmul_high_i32x4_u", "vv:v", ImmNone, 0},
	{OpF32x4Abs, "f32x4.abs", "v:v", ImmNone, 0},
	{OpF32x4Neg, "f32x4.neg", "v:v", ImmNone, 0},
	{OpF32x4Sqrt, "f32x4.sqrt", "v:v", ImmNone, 0},
	{OpF32x4Add, "f32x4.add", "vv:v", ImmNone, 0},
	{OpF32x4Sub, "f32x4.sub", "vv:v", ImmNone, 0},
	{OpF32x4Mul, "f32x4.mul", "vv:v", ImmNone, 0},
	{OpF32x4Div, "f32x4.div", "vv:v", ImmNone, 0},
	{OpF32x4Min, "f32x4.min", "vv:v", ImmNone, 0},
	{OpF32x4Max, "f32x4.max", "vv:v", ImmNone, 0},
	{OpF32x4Pmin, "f32x4.pmin", "vv:v", ImmNone, 0},
	{OpF32x4Pmax, "f32x4.pmax", "vv:v", ImmNone, 0},
	{OpF64x2Abs, "f64x2.abs", "v:v", ImmNone, 0},
	{OpF64x2Neg, "f64x2.neg", "v:v", ImmNone, 0},
	{OpF64x2Sqrt, "f64x2.sqrt", "v:v", ImmNone, 0},
	{OpF64x2Add, "f64x2.add", "vv:v", ImmNone, 0},
	{OpF64x2Sub, "f64x2.sub", "vv:v", ImmNone, 0},
	{OpF64x2Mul, "f64x2.mul", "vv:v", ImmNone, 0},
	{OpF64x2Div, "f64x2.div", "vv:v", ImmNone, 0},
	{OpF64x2Min, "f64x2.min", "vv:v", ImmNone, 0},
	{OpF64x2Max, "f64x2.max", "vv:v", ImmNone, 0},
	{OpF64x2Pmin, "f64x2.pmin", "vv:v", ImmNone, 0},
	{OpF64x2Pmax, "f64x2.pmax", "vv:v", ImmNone, 0},
	{OpI32x4TruncSatF32x4S, "i32x4.trunc_sat_f32x4_s", "v:v", ImmNone, 0},
	{OpI32x4TruncSatF32x4U, "i32x4.trunc_sat_f32x4_u", "v:v", ImmNone, 0},
	{OpF32x4ConvertI32x4S, "f32x4.convert_i32x4_s", "v:v", ImmNone, 0},
	{OpF32x4ConvertI32x4U, "f32x4.convert_i32x4_u", "v:v", ImmNone, 0},
	{OpI32x4TruncSatF64x2SZero, "i32x4.trunc_sat_f64x2_s_zero", "v:v", ImmNone, 0},
	{OpI32x4TruncSatF64x2UZero, "i32x4.trunc_sat_f64x2_u_zero", "v:v", ImmNone, 0},
	{OpF64x2ConvertLowI32x4S, "f64x2.convert_low_i32x4_s", "v:v", ImmNone, 0},
	{OpF64x2ConvertLowI32x4U, "f64x2.convert_low_i32x4_u", "v:v", ImmNone, 0},

	// Prefix 0xFE: atomics.
	{OpMemoryAtomicNotify, "memory.atomic.notify", "ii:i", ImmMemarg, 2},
	{OpMemoryAtomicWait32, "memory.atomic.wait32", "iil:i", ImmMemarg, 2},
	{OpMemoryAtomicWait64, "memory.atomic.wait64", "ill:i", ImmMemarg, 3},
	{OpAtomicFence, "atomic.fence", ":", ImmFence, 0},
	{OpI32AtomicLoad, "i32.atomic.load", "i:i", ImmMemarg, 2},
	{OpI64AtomicLoad, "i64.atomic.load", "i:l", ImmMemarg, 3},
	{OpI32AtomicLoad8U, "i32.atomic.load8_u", "i:i", ImmMemarg, 0},
	{OpI32AtomicLoad16U, "i32.atomic.load16_u", "i:i", ImmMemarg, 1},
	{OpI64AtomicLoad8U, "i64.atomic.load8_u", "i:l", ImmMemarg, 0},
	{OpI64AtomicLoad16U, "i64.atomic.load16_u", "i:l", ImmMemarg, 1},
	{OpI64AtomicLoad32U, "i64.atomic.load32_u", "i:l", ImmMemarg, 2},
	{OpI32AtomicStore, "i32.atomic.store", "ii:", ImmMemarg, 2},
	{OpI64AtomicStore, "i64.atomic.store", "il:", ImmMemarg, 3},
	{OpI32AtomicStore8, "i32.atomic.store8", "ii:", ImmMemarg, 0},
	{OpI32AtomicStore16, "i32.atomic.store16", "ii:", ImmMemarg, 1},
	{OpI64AtomicStore8, "i64.atomic.store8", "il:", ImmMemarg, 0},
	{OpI64AtomicStore16, "i64.atomic.store16", "il:", ImmMemarg, 1},
	{OpI64AtomicStore32, "i64.atomic.store32", "il:", ImmMemarg, 2},
	{OpI32AtomicRmwAdd, "i32.atomic.rmw.add", "ii:i", ImmMemarg, 2},
	{OpI64AtomicRmwAdd, "i64.atomic.rmw.add", "il:l", ImmMemarg, 3},
	{OpI32AtomicRmw8AddU, "i32.atomic.rmw8.add_u", "ii:i", ImmMemarg, 0},
	{OpI32AtomicRmw16AddU, "i32.atomic.rmw16.add_u", "ii:i", ImmMemarg, 1},
	{OpI64AtomicRmw8AddU, "i64.atomic.rmw8.add_u", "il:l", ImmMemarg, 0},
	{OpI64AtomicRmw16AddU, "i64.atomic.rmw16.add_u", "il:l", ImmMemarg, 1},
	{OpI64AtomicRmw32AddU, "i64.atomic.rmw32.add_u", "il:l", ImmMemarg, 2},
	{OpI32AtomicRmwSub, "i32.atomic.rmw.sub", "ii:i", ImmMemarg, 2},
	{OpI64AtomicRmwSub, "i64.atomic.rmw.sub", "il:l", ImmMemarg, 3},
	{OpI32AtomicRmw8SubU, "i32.atomic.rmw8.sub_u", "ii:i", ImmMemarg, 0},
	{OpI32AtomicRmw16SubU, "i32.atomic.rmw16.sub_u", "ii:i", ImmMemarg, 1},
	{OpI64AtomicRmw8SubU, "i64.atomic.rmw8.sub_u", "il:l", ImmMemarg, 0},
	{OpI64AtomicRmw16SubU, "i64.atomic.rmw16.sub_u", "il:l", ImmMemarg, 1},
	{OpI64AtomicRmw32SubU, "i64.atomic.rmw32.sub_u", "il:l", ImmMemarg, 2},
	{OpI32AtomicRmwAnd, "i32.atomic.rmw.and", "ii:i", ImmMemarg, 2},
	{OpI64AtomicRmwAnd, "i64.atomic.rmw.and", "il:l", ImmMemarg, 3},
	{OpI32AtomicRmw8AndU, "i32.atomic.rmw8.and_u", "ii:i", ImmMemarg, 0},
	{OpI32AtomicRmw16AndU, "i32.atomic.rmw16.and_u", "ii:i", ImmMemarg, 1},
	{OpI64AtomicRmw8AndU, "i64.atomic.rmw8.and_u", "il:l", ImmMemarg, 0},
	{OpI64AtomicRmw16AndU, "i64.atomic.rmw16.and_u", "il:l", ImmMemarg, 1},
	{OpI64AtomicRmw32AndU, "i64.atomic.rmw32.and_u", "il:l", ImmMemarg, 2},
	{OpI32AtomicRmwOr, "i32.atomic.rmw.or", "ii:i", ImmMemarg, 2},
	{OpI64AtomicRmwOr, "i64.atomic.rmw.or", "il:l", ImmMemarg, 3},
	{OpI32AtomicRmw8OrU, "i32.atomic.rmw8.or_u", "ii:i", ImmMemarg, 0},
	{OpI32AtomicRmw16OrU, "i32.atomic.rmw16.or_u", "ii:i", ImmMemarg, 1},
	{OpI64AtomicRmw8OrU, "i64.atomic.rmw8.or_u", "il:l", ImmMemarg, 0},
	{OpI64AtomicRmw16OrU, "i64.atomic.rmw16.or_u", "il:l", ImmMemarg, 1},
	{OpI64AtomicRmw32OrU, "i64.atomic.rmw32.or_u", "il:l", ImmMemarg, 2},
	{OpI32AtomicRmwXor, "i32.atomic.rmw.xor", "ii:i", ImmMemarg, 2},
	{OpI64AtomicRmwXor, "i64.atomic.rmw.xor", "il:l", ImmMemarg, 3},
	{OpI32AtomicRmw8XorU, "i32.atomic.rmw8.xor_u", "ii:i", ImmMemarg, 0},
	{OpI32AtomicRmw16XorU, "i32.atomic.rmw16.xor_u", "ii:i", ImmMemarg, 1},
	{OpI64AtomicRmw8XorU, "i64.atomic.rmw8.xor_u", "il:l", ImmMemarg, 0},
	{OpI64AtomicRmw16XorU, "i64.atomic.rmw16.xor_u", "il:l", ImmMemarg, 1},
	{OpI64AtomicRmw32XorU, "i64.atomic.rmw32.xor_u", "il:l", ImmMemarg, 2},
	{OpI32AtomicRmwXchg, "i32.atomic.rmw.xchg", "ii:i", ImmMemarg, 2},
	{OpI64AtomicRmwXchg, "i64.atomic.rmw.xchg", "il:l", ImmMemarg, 3},
	{OpI32AtomicRmw8XchgU, "i32.atomic.rmw8.xchg_u", "ii:i", ImmMemarg, 0},
	{OpI32AtomicRmw16XchgU, "i32.atomic.rmw16.xchg_u", "ii:i", ImmMemarg, 1},
	{OpI64AtomicRmw8XchgU, "i64.atomic.rmw8.xchg_u", "il:l", ImmMemarg, 0},
	{OpI64AtomicRmw16XchgU, "i64.atomic.rmw16.xchg_u", "il:l", ImmMemarg, 1},
	{OpI64AtomicRmw32XchgU, "i64.atomic.rmw32.xchg_u", "il:l", ImmMemarg, 2},
	{OpI32AtomicRmwCmpxchg, "i32.atomic.rmw.cmpxchg", "iii:i", ImmMemarg, 2},
	{OpI64AtomicRmwCmpxchg, "i64.atomic.rmw.cmpxchg", "ill:l", ImmMemarg, 3},
	{OpI32AtomicRmw8CmpxchgU, "i32.atomic.rmw8.cmpxchg_u", "iii:i", ImmMemarg, 0},
	{OpI32AtomicRmw16CmpxchgU, "i32.atomic.rmw16.cmpxchg_u", "iii:i", ImmMemarg, 1},
	{OpI64AtomicRmw8CmpxchgU, "i64.atomic.rmw8.cmpxchg_u", "ill:l", ImmMemarg, 0},
	{OpI64AtomicRmw16CmpxchgU, "i64.atomic.rmw16.cmpxchg_u", "ill:l", ImmMemarg, 1},
	{OpI64AtomicRmw32CmpxchgU, "i64.atomic.rmw32.cmpxchg_u", "ill:l", ImmMemarg, 2},
}

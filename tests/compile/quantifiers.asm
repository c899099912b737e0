# quantifiers on process: process.exec
# p0: process.args[] startswith ["-"]
# p1: process.ancestors[].name equals ["sshd"]
# p2: user.name equals ["root"]
# p3: process.ancestors[].user.name equals ["root"]
# line 10
    0  ldxb %r0, [%r1]              # state of process.args
    1  jset %r0, 1, +1              # -> 3
    2  ja +31                       # -> 34
    3  jset %r0, 4, +30             # -> 34
    4  ldxw %r0, [%r1+4]            # slot of process.args
    5  jgt %r0, 64, +28             # -> 34
    6  ldxdw %r0, [%r3+8]           # mask p0
    7  ldxdw %r4, [%r3]             # mask p0
    8  xor %r0, %r4
    9  xor %r0, -1
   10  ldxw %r5, [%r1+4]            # slot of process.args
   11  mov %r4, -1
   12  jge %r5, 64, +3              # -> 16
   13  mov %r4, 1
   14  lsh %r4, %r5
   15  add %r4, -1
   16  and %r0, %r4
   17  jne %r0, 0, +16              # -> 34
# line 9
   18  ldxb %r0, [%r1]              # state of process.ancestors
   19  jset %r0, 1, +1              # -> 21
   20  ja +13                       # -> 34
   21  ldxb %r4, [%r2]              # byte of p2
   22  jset %r4, 0, +2              # -> 25  p2 true
   23  stdw [%r10-8], 0
   24  ja +1                        # -> 26
   25  stdw [%r10-8], -1
   26  ldxdw %r0, [%r3]             # mask p1
   27  ldxdw %r4, [%r3+8]           # mask p3
   28  ldxdw %r5, [%r3]             # mask p3
   29  xor %r4, %r5
   30  ldxdw %r5, [%r10-8]
   31  or %r4, %r5
   32  and %r0, %r4
   33  jne %r0, 0, +56              # -> 90
# line 1
   34  ldxw %r0, [%r1+12]
   35  jset %r0, 1, +6              # -> 42
   36  ldxw %r0, [%r1+4]            # slot of process.ancestors
   37  jgt %r0, 64, +4              # -> 42
   38  ldxw %r0, [%r1+4]            # slot of process.args
   39  jgt %r0, 64, +2              # -> 42
   40  mov %r0, 0
   41  exit
# line 10
   42  ldxb %r0, [%r1]              # state of process.args
   43  jeq %r0, 0, +42              # -> 86
   44  jset %r0, 2, +14             # -> 59
   45  ldxdw %r0, [%r3+8]           # mask p0
   46  ldxdw %r4, [%r3]             # mask p0
   47  xor %r0, %r4
   48  ldxdw %r4, [%r3+16]          # mask p0
   49  or %r0, %r4
   50  xor %r0, -1
   51  ldxw %r5, [%r1+4]            # slot of process.args
   52  mov %r4, -1
   53  jge %r5, 64, +3              # -> 57
   54  mov %r4, 1
   55  lsh %r4, %r5
   56  add %r4, -1
   57  and %r0, %r4
   58  jne %r0, 0, +27              # -> 86
# line 9
   59  ldxb %r0, [%r1]              # state of process.ancestors
   60  jeq %r0, 0, +25              # -> 86
   61  jset %r0, 2, +26             # -> 88
   62  ldxb %r4, [%r2]              # byte of p2
   63  jset %r4, 0, +5              # -> 69  p2 true
   64  jset %r4, 0, +2              # -> 67  p2 known
   65  ldxb %r4, [%r1]              # state of user.name
   66  jne %r4, 0, +2               # -> 69
   67  stdw [%r10-8], 0
   68  ja +1                        # -> 70
   69  stdw [%r10-8], -1
   70  ldxdw %r0, [%r3]             # mask p1
   71  ldxdw %r4, [%r3+16]          # mask p1
   72  or %r0, %r4
   73  ldxdw %r4, [%r3+8]           # mask p3
   74  ldxdw %r5, [%r3]             # mask p3
   75  xor %r4, %r5
   76  ldxdw %r5, [%r3+16]          # mask p3
   77  or %r4, %r5
   78  ldxdw %r5, [%r10-8]
   79  or %r4, %r5
   80  and %r0, %r4
   81  jne %r0, 0, +6               # -> 88
   82  ldxb %r0, [%r1]              # state of process.ancestors
   83  jset %r0, 4, +4              # -> 88
   84  ldxw %r0, [%r1+4]            # slot of process.ancestors
   85  jsgt %r0, 64, +2             # -> 88
# line 1
   86  mov %r0, 0
   87  exit
   88  mov %r0, 2
   89  exit
   90  mov %r0, 1
   91  exit
# worst case 82 fuel

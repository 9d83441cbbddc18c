// A small processor's parts, SCALE lanes wide, for synthesis.
module multiplier #(parameter W = 8) (input clk, input [W-1:0] a, b, output reg [2*W-1:0] p);
	always @(posedge clk) p <= a * b;
endmodule

module alu #(parameter W = 16) (input clk, input [3:0] op, input [W-1:0] a, b, output reg [W-1:0] y, output reg zero);
	wire [W-1:0] shifted = op[0] ? a << b[3:0] : $signed(a) >>> b[3:0];
	always @(posedge clk) begin
		case (op)
			4'd0: y <= a + b;
			4'd1: y <= a - b;
			4'd2: y <= a & b;
			4'd3: y <= a | b;
			4'd4: y <= a ^ b;
			4'd5: y <= a < b;
			4'd6: y <= $signed(a) < $signed(b);
			4'd7, 4'd8: y <= shifted;
			default: y <= {b[7:0], a[7:0]};
		endcase
		zero <= y == 0;
	end
endmodule

module regfile #(parameter W = 16) (input clk, we, input [3:0] r, w, input [W-1:0] d, output reg [W-1:0] q);
	reg [W-1:0] file [0:15];
	always @(posedge clk) begin
		if (we) file[w] <= d;
		q <= file[r];
	end
endmodule

module top #(parameter LANES = 2) (input clk, rst, input [15:0] in, output reg [15:0] out);
	reg [3:0] state;
	wire [16*(LANES+1)-1:0] bus;
	assign bus[15:0] = in;
	genvar i;
	generate for (i = 0; i < LANES; i = i + 1) begin : lane
		wire [15:0] q, y;
		wire [15:0] p;
		wire z;
		regfile r(clk, state[0] ^ z, state, state + i[3:0], bus[16*i +: 16], q);
		multiplier m(clk, q[7:0], q[15:8], p);
		alu a(clk, state, q, p, y, z);
		assign bus[16*(i+1) +: 16] = y ^ p;
	end endgenerate
	always @(posedge clk)
		if (rst) begin state <= 0; out <= 0; end
		else begin
			state <= state == 4'd11 ? 0 : state + 1;
			out <= bus[16*LANES +: 16];
		end
endmodule

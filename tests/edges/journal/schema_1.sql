PRAGMA application_id = 1919052849;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE acknowledgements (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	of_halt INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (of_halt), 
	FOREIGN KEY(of_halt) REFERENCES halts (id)
);
INSERT INTO "acknowledgements" VALUES(1,'259bd82b7c03',1);
CREATE TABLE adoptions (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	account TEXT NOT NULL, 
	con_id INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (account, con_id)
);
INSERT INTO "adoptions" VALUES(1,'ac721cdd526a','DU1',13330);
INSERT INTO "adoptions" VALUES(2,'73b00206dfe6','DU1',14663);
CREATE TABLE cursors (
	channel TEXT NOT NULL, 
	seal TEXT NOT NULL, 
	since TEXT NOT NULL, 
	until TEXT NOT NULL, 
	by_our_clock BOOLEAN NOT NULL, 
	PRIMARY KEY (channel)
);
INSERT INTO "cursors" VALUES('rebalance-primary','1ee659eb78d4','2026-11-23T15:31:00.000000+00:00','2026-11-23T15:32:00.000000+00:00',0);
CREATE TABLE entries (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	of_event INTEGER NOT NULL, 
	account TEXT NOT NULL, 
	mode TEXT NOT NULL, 
	published TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (of_event, account), 
	FOREIGN KEY(of_event) REFERENCES events (id)
);
INSERT INTO "entries" VALUES(1,'713426ec2b23',1,'DU1','rebalance','2026-11-23T15:31:00.000000+00:00');
INSERT INTO "entries" VALUES(2,'a8e0035d000e',1,'DU2','rebalance','2026-11-23T15:31:00.000000+00:00');
INSERT INTO "entries" VALUES(3,'a3eb92b148dc',2,'DU1','rebalance','2026-11-23T15:32:00.000000+00:00');
CREATE TABLE events (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	event_id TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	published TEXT NOT NULL, 
	received TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (event_id)
);
INSERT INTO "events" VALUES(1,'1e27698880aa','856579f872da','rebalance-primary','2026-11-23T15:31:00.000000+00:00','2026-11-23T15:31:01.000000+00:00','{"event_id":"856579f872da","channel":"rebalance-primary","serial":"serial-001","message_id":"message-1","stated_id":"","published":"2026-11-23T15:31:00Z","received":"2026-11-23T15:31:01Z","mode":"rebalance","note":"","payload":"{''execution'': ''rebalance''}"}');
INSERT INTO "events" VALUES(2,'e45b7dc3cec1','02f7feb3904d','rebalance-primary','2026-11-23T15:32:00.000000+00:00','2026-11-23T15:32:01.000000+00:00','{"event_id":"02f7feb3904d","channel":"rebalance-primary","serial":"serial-002","message_id":"message-2","stated_id":"","published":"2026-11-23T15:32:00Z","received":"2026-11-23T15:32:01Z","mode":"rebalance","note":"","payload":"{''execution'': ''rebalance''}"}');
CREATE TABLE evidence (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	of_intent INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (of_intent, seal), 
	FOREIGN KEY(of_intent) REFERENCES intents (id)
);
INSERT INTO "evidence" VALUES(1,'fd9293aa22d0',1,'{"kind":"StatusTold","at":"2026-11-23T15:30:00Z","status":"Submitted","filled":null,"perm_id":7,"why_held":""}');
INSERT INTO "evidence" VALUES(2,'e21e8ab1d5c0',1,'{"kind":"StatusTold","at":"2026-11-23T15:30:01Z","status":"Filled","filled":null,"perm_id":7,"why_held":""}');
INSERT INTO "evidence" VALUES(3,'5c11b263d3f9',2,'{"kind":"StatusTold","at":"2026-11-23T15:30:00Z","status":"Submitted","filled":null,"perm_id":7,"why_held":""}');
INSERT INTO "evidence" VALUES(4,'4e0416b57866',2,'{"kind":"StatusTold","at":"2026-11-23T15:30:01Z","status":"Filled","filled":null,"perm_id":7,"why_held":""}');
INSERT INTO "evidence" VALUES(5,'bdf6035443d4',3,'{"kind":"StatusTold","at":"2026-11-23T15:30:00Z","status":"Submitted","filled":null,"perm_id":7,"why_held":""}');
INSERT INTO "evidence" VALUES(6,'4b7e178a6b77',3,'{"kind":"StatusTold","at":"2026-11-23T15:30:01Z","status":"Filled","filled":null,"perm_id":7,"why_held":""}');
INSERT INTO "evidence" VALUES(7,'ac4944d4ba65',2,'{"kind":"Listed","at":"2026-11-23T15:30:00Z","status":"Submitted"}');
CREATE TABLE failures (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	of_run INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (of_run), 
	FOREIGN KEY(of_run) REFERENCES runs (id)
);
INSERT INTO "failures" VALUES(1,'a9ed1abf02b3',3,'{"run_id":"20261123T170000Z-c","account":"DU1","code":"PLAN_STALE","message":"It is stale.","hint":"Look again.","exit_code":11,"ended":"2026-11-23T15:30:00Z"}');
CREATE TABLE gaps (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	since TEXT NOT NULL, 
	until TEXT NOT NULL, 
	why TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "gaps" VALUES(1,'e53d1fd111ef','rebalance-primary','2026-11-23T15:30:00.000000+00:00','2026-11-23T15:31:00.000000+00:00','Nobody listened.');
INSERT INTO "gaps" VALUES(2,'50732a2bd8bd','rebalance-primary','2026-11-23T15:30:00.000000+00:00','2026-11-23T15:32:00.000000+00:00','Nobody listened.');
CREATE TABLE halts (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	halted BOOLEAN NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "halts" VALUES(1,'249786ce34b6',1,'{"at":"2026-11-23T15:30:00Z","reason":"the owner is on holiday"}');
CREATE TABLE intents (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	of_plan INTEGER NOT NULL, 
	order_ref TEXT NOT NULL, 
	account TEXT NOT NULL, 
	con_id INTEGER NOT NULL, 
	side TEXT NOT NULL, 
	kept_at TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(of_plan) REFERENCES plans (id), 
	UNIQUE (order_ref)
);
INSERT INTO "intents" VALUES(1,'cc171006c9fa',1,'rb1-0000000000000001-1','DU1',13330,'SELL','2026-11-23T15:30:00.000000+00:00','{"order_ref":"rb1-0000000000000001-1","run_id":"20261123T153000Z-a","plan_id":"8f15a181aea8","account":"DU1","con_id":13330,"symbol":"AAA","currency":"USD","rate":"1","side":"SELL","quantity":10,"order_type":"LMT","limit_price":"99.9","position_before":"900","client_id":52,"expires_at":"2026-11-23T20:30:00Z"}');
INSERT INTO "intents" VALUES(2,'517cf024a28a',1,'rb1-0000000000000002-1','DU1',13330,'BUY','2026-11-23T15:30:00.000000+00:00','{"order_ref":"rb1-0000000000000002-1","run_id":"20261123T153000Z-a","plan_id":"8f15a181aea8","account":"DU1","con_id":13330,"symbol":"AAA","currency":"USD","rate":"1","side":"BUY","quantity":10,"order_type":"LMT","limit_price":"99.9","position_before":"900","client_id":52,"expires_at":"2026-11-23T20:30:00Z"}');
INSERT INTO "intents" VALUES(3,'f506dbcc7818',1,'rb1-0000000000000003-1','DU1',13330,'SELL','2026-11-23T15:30:00.000000+00:00','{"order_ref":"rb1-0000000000000003-1","run_id":"20261123T153000Z-a","plan_id":"8f15a181aea8","account":"DU1","con_id":13330,"symbol":"AAA","currency":"USD","rate":"1","side":"SELL","quantity":10,"order_type":"LMT","limit_price":"99.9","position_before":"900","client_id":52,"expires_at":"2026-11-23T20:30:00Z"}');
CREATE TABLE marks (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	of_event INTEGER NOT NULL, 
	channel TEXT NOT NULL, 
	mark TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (channel, mark), 
	FOREIGN KEY(of_event) REFERENCES events (id)
);
INSERT INTO "marks" VALUES(1,'5449f8718fc7',1,'rebalance-primary','"serial serial-001"');
INSERT INTO "marks" VALUES(2,'a9908375d62c',1,'rebalance-primary','"message message-1"');
INSERT INTO "marks" VALUES(3,'7e75b49537a3',2,'rebalance-primary','"serial serial-002"');
INSERT INTO "marks" VALUES(4,'fbf77bc0299b',2,'rebalance-primary','"message message-2"');
INSERT INTO "marks" VALUES(5,'31d4ddf94362',1,'rebalance-primary','"serial serial-003"');
CREATE TABLE outcomes (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	of_intent INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(of_intent) REFERENCES intents (id)
);
INSERT INTO "outcomes" VALUES(1,'64b956359062',1,'{"status":"filled","filled":10,"average_price":"99.95","commission":"1","reason":"","perm_ids":[7]}');
INSERT INTO "outcomes" VALUES(2,'f11e6e09da5c',2,'{"status":"cancelled","filled":0,"average_price":null,"commission":"1","reason":"","perm_ids":[7]}');
CREATE TABLE pins (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	"query" TEXT NOT NULL, 
	con_id INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "pins" VALUES(1,'9c71796b5639','{"symbol":"AAA","con_id":null,"exchange":"SMART","currency":"USD","primary_exchange":null}',13330);
INSERT INTO "pins" VALUES(2,'738cf91c1d2a','{"symbol":"BBB","con_id":null,"exchange":"SMART","currency":"USD","primary_exchange":null}',14663);
CREATE TABLE plans (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	of_run INTEGER NOT NULL, 
	plan_id TEXT NOT NULL, 
	document BLOB NOT NULL, 
	snapshot TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (of_run, plan_id), 
	FOREIGN KEY(of_run) REFERENCES runs (id)
);
INSERT INTO "plans" VALUES(1,'cf2cfd2a201f',1,'8f15a181aea8',X'7B22737461747573223A202273756363657373222C202264617461223A207B22616C6C6F636174696F6E73223A205B7B2273796D626F6C223A2022414141222C2022616C6C6F636174696F6E223A20302E357D2C207B2273796D626F6C223A2022424242222C2022616C6C6F636174696F6E223A20302E357D5D2C20226E616D65223A202264656D6F227D7D','{"portfolio":{"account":"DU1","balances":{"account_type":"MARGIN","currency":"USD","net_liquidation":"101000","total_cash":"1000","settled_cash":null,"available_funds":"1000","cash":{"USD":"1000"},"exchange_rates":{"CAD":"0.75","EUR":"1.1"},"stock_market_value":"100000","buying_power":null},"holdings":[{"position":{"account":"DU1","con_id":13330,"symbol":"AAA","security_type":"STK","currency":"USD","quantity":"900","average_cost":"100"},"primary_exchange":"ARCA","market_price":"100","market_value":"90000","unrealized_pnl":null},{"position":{"account":"DU1","con_id":14663,"symbol":"BBB","security_type":"STK","currency":"USD","quantity":"100","average_cost":"100"},"primary_exchange":"ARCA","market_price":"100","market_value":"10000","unrealized_pnl":null}]},"targets":{"AAA":{"con_id":13330,"symbol":"AAA","security_type":"STK","currency":"USD","primary_exchange":"ARCA","name":"AAA TRUST","tick_size":"0.01","price_magnifier":1,"sessions":[{"opens":"2026-11-23T14:30:00Z","closes":"2026-11-23T21:00:00Z"}]},"BBB":{"con_id":14663,"symbol":"BBB","security_type":"STK","currency":"USD","primary_exchange":"ARCA","name":"BBB TRUST","tick_size":"0.01","price_magnifier":1,"sessions":[{"opens":"2026-11-23T14:30:00Z","closes":"2026-11-23T21:00:00Z"}]}},"quotes":{"13330":{"bid":"100","ask":"100","last":null,"close":null,"data":"live","is_halted":false,"received_at":"2026-11-23T15:30:00Z"},"14663":{"bid":"100","ask":"100","last":null,"close":null,"data":"live","is_halted":false,"received_at":"2026-11-23T15:30:00Z"}},"unquoted":{},"contracts":{"13330":{"con_id":13330,"symbol":"AAA","security_type":"STK","currency":"USD","primary_exchange":"ARCA","name":"AAA TRUST","tick_size":"0.01","price_magnifier":1,"sessions":[{"opens":"2026-11-23T14:30:00Z","closes":"2026-11-23T21:00:00Z"}]},"14663":{"con_id":14663,"symbol":"BBB","security_type":"STK","currency":"USD","primary_exchange":"ARCA","name":"BBB TRUST","tick_size":"0.01","price_magnifier":1,"sessions":[{"opens":"2026-11-23T14:30:00Z","closes":"2026-11-23T21:00:00Z"}]}},"taken_at":"2026-11-23T15:30:00Z","assembled_at":"2026-11-23T15:30:00Z"}','{"account":"DU1","plan_id":"8f15a181aea8","as_of":"2026-11-23T15:30:00Z","strategy":{"name":"demo","strategy_long_name":null,"last_rebalance_on":null,"as_of":null},"targets":{"AAA":"0.5","BBB":"0.5"},"policy_digest":"6c18d796f3aa","currency":"USD","net_liquidation":"101000","cash":"1000","cash_after":"296","cash_reserve":"252.49","cash_by_currency":[{"currency":"USD","rate":"1","cash":"1000","cash_after":"296","cash_reserve":"252.49"}],"turnover":"0.791089","commission":"4","spread_cost":"0","drift_before":"0.39974","drift_after":"0.00071","trades":[{"symbol":"AAA","con_id":13330,"primary_exchange":"ARCA","side":"SELL","quantity":396,"currency":"USD","rate":"1","price":"100","notional":"39600","commission":"1.98","spread_cost":"0","held":"900","target_quantity":"504","weight_before":"0.891089","weight_target":"0.49873","weight_after":"0.49901","reason":"overweight by 39.24%"},{"symbol":"BBB","con_id":14663,"primary_exchange":"ARCA","side":"BUY","quantity":403,"currency":"USD","rate":"1","price":"100","notional":"40300","commission":"2.02","spread_cost":"0","held":"100","target_quantity":"503","weight_before":"0.09901","weight_target":"0.49873","weight_after":"0.49802","reason":"underweight by 39.97%"}],"skips":[],"untouched":[],"remarks":[],"purpose":{"buy_only":false,"raise_cash":"0"}}');
CREATE TABLE reports (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	of_run INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (of_run), 
	FOREIGN KEY(of_run) REFERENCES runs (id)
);
INSERT INTO "reports" VALUES(1,'0123d36fa95d',1,'{"run_id":"20261123T153000Z-a","account":"DU1","plan":{"account":"DU1","plan_id":"8f15a181aea8","as_of":"2026-11-23T15:30:00Z","strategy":{"name":"demo","strategy_long_name":null,"last_rebalance_on":null,"as_of":null},"targets":{"AAA":"0.5","BBB":"0.5"},"policy_digest":"6c18d796f3aa","currency":"USD","net_liquidation":"101000","cash":"1000","cash_after":"296","cash_reserve":"252.49","cash_by_currency":[{"currency":"USD","rate":"1","cash":"1000","cash_after":"296","cash_reserve":"252.49"}],"turnover":"0.791089","commission":"4","spread_cost":"0","drift_before":"0.39974","drift_after":"0.00071","trades":[{"symbol":"AAA","con_id":13330,"primary_exchange":"ARCA","side":"SELL","quantity":396,"currency":"USD","rate":"1","price":"100","notional":"39600","commission":"1.98","spread_cost":"0","held":"900","target_quantity":"504","weight_before":"0.891089","weight_target":"0.49873","weight_after":"0.49901","reason":"overweight by 39.24%"},{"symbol":"BBB","con_id":14663,"primary_exchange":"ARCA","side":"BUY","quantity":403,"currency":"USD","rate":"1","price":"100","notional":"40300","commission":"2.02","spread_cost":"0","held":"100","target_quantity":"503","weight_before":"0.09901","weight_target":"0.49873","weight_after":"0.49802","reason":"underweight by 39.97%"}],"skips":[],"untouched":[],"remarks":[],"purpose":{"buy_only":false,"raise_cash":"0"}},"mode":"rebalance","trigger":"command","outcome":"done","exit_code":0,"started":"2026-11-23T15:30:00Z","ended":"2026-11-23T15:30:02Z","orders":[{"order_ref":"rb1-0000000000000001-1","symbol":"AAA","con_id":13330,"side":"SELL","quantity":10,"filled":10,"currency":"USD","rate":"1","average_price":"99.95","commission":"1","status":"filled","reason":"","remedy":""}],"adjustments":[{"symbol":"BBB","con_id":14663,"planned":3,"sent":2,"reason":"not enough cash"}],"code":"","trouble":"","hint":""}');
INSERT INTO "reports" VALUES(2,'73ece1891236',4,'{"run_id":"20261123T180000Z-d","account":"DU1","plan":{"account":"DU1","plan_id":"8f15a181aea8","as_of":"2026-11-23T15:30:00Z","strategy":{"name":"demo","strategy_long_name":null,"last_rebalance_on":null,"as_of":null},"targets":{"AAA":"0.5","BBB":"0.5"},"policy_digest":"6c18d796f3aa","currency":"USD","net_liquidation":"101000","cash":"1000","cash_after":"296","cash_reserve":"252.49","cash_by_currency":[{"currency":"USD","rate":"1","cash":"1000","cash_after":"296","cash_reserve":"252.49"}],"turnover":"0.791089","commission":"4","spread_cost":"0","drift_before":"0.39974","drift_after":"0.00071","trades":[{"symbol":"AAA","con_id":13330,"primary_exchange":"ARCA","side":"SELL","quantity":396,"currency":"USD","rate":"1","price":"100","notional":"39600","commission":"1.98","spread_cost":"0","held":"900","target_quantity":"504","weight_before":"0.891089","weight_target":"0.49873","weight_after":"0.49901","reason":"overweight by 39.24%"},{"symbol":"BBB","con_id":14663,"primary_exchange":"ARCA","side":"BUY","quantity":403,"currency":"USD","rate":"1","price":"100","notional":"40300","commission":"2.02","spread_cost":"0","held":"100","target_quantity":"503","weight_before":"0.09901","weight_target":"0.49873","weight_after":"0.49802","reason":"underweight by 39.97%"}],"skips":[],"untouched":[],"remarks":[],"purpose":{"buy_only":false,"raise_cash":"0"}},"mode":"rebalance","trigger":"command","outcome":"done","exit_code":0,"started":"2026-11-23T15:30:00Z","ended":"2026-11-23T15:30:02Z","orders":[{"order_ref":"rb1-0000000000000001-1","symbol":"AAA","con_id":13330,"side":"SELL","quantity":10,"filled":10,"currency":"USD","rate":"1","average_price":"99.95","commission":"1","status":"filled","reason":"","remedy":""}],"adjustments":[{"symbol":"BBB","con_id":14663,"planned":3,"sent":2,"reason":"not enough cash"}],"code":"","trouble":"","hint":""}');
CREATE TABLE retractions (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	of_outcome INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (of_outcome), 
	FOREIGN KEY(of_outcome) REFERENCES outcomes (id)
);
INSERT INTO "retractions" VALUES(1,'e83a2f74ccf7',2);
CREATE TABLE runs (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	account TEXT NOT NULL, 
	"trigger" TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (run_id)
);
INSERT INTO "runs" VALUES(1,'e58e3055e268','20261123T153000Z-a','DU1','command','{"run_id":"20261123T153000Z-a","account":"DU1","trigger":"command","started":"2026-11-23T15:30:00Z","config_digest":"0123456789ab","code_version":"0.1.0","layout":null}');
INSERT INTO "runs" VALUES(2,'e36f2335e8b4','20261123T160000Z-b','DU1','command','{"run_id":"20261123T160000Z-b","account":"DU1","trigger":"command","started":"2026-11-23T15:30:00Z","config_digest":"0123456789ab","code_version":"0.1.0","layout":null}');
INSERT INTO "runs" VALUES(3,'c83cbe283a4d','20261123T170000Z-c','DU1','command','{"run_id":"20261123T170000Z-c","account":"DU1","trigger":"command","started":"2026-11-23T15:30:00Z","config_digest":"0123456789ab","code_version":"0.1.0","layout":null}');
INSERT INTO "runs" VALUES(4,'daa412c5de0d','20261123T180000Z-d','DU1','856579f872da','{"run_id":"20261123T180000Z-d","account":"DU1","trigger":"856579f872da","started":"2026-11-23T15:30:00Z","config_digest":"0123456789ab","code_version":"0.1.0","layout":null}');
CREATE TABLE steps (
	id INTEGER NOT NULL, 
	seal TEXT NOT NULL, 
	of_entry INTEGER NOT NULL, 
	ends BOOLEAN NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(of_entry) REFERENCES entries (id)
);
INSERT INTO "steps" VALUES(1,'1ce91a081cad',2,0,'{"kind":"PutOff","at":"2026-11-23T15:30:00Z","due":"2026-11-23T15:30:00Z","remedy":"time","code":"PRICE_STALE","text":"The prices are old.","run_id":""}');
INSERT INTO "steps" VALUES(2,'6116715746ca',1,1,'{"kind":"Ended","at":"2026-11-23T15:30:00Z","code":"","text":"","exit_code":0,"run_id":"20261123T180000Z-d"}');
CREATE INDEX runs_by_trigger ON runs ("trigger", account);
CREATE TRIGGER runs_no_update BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'runs is history: nothing in it is changed or removed'); END;
CREATE TRIGGER runs_no_delete BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'runs is history: nothing in it is changed or removed'); END;
CREATE TRIGGER halts_no_update BEFORE UPDATE ON halts BEGIN SELECT RAISE(ABORT, 'halts is history: nothing in it is changed or removed'); END;
CREATE TRIGGER halts_no_delete BEFORE DELETE ON halts BEGIN SELECT RAISE(ABORT, 'halts is history: nothing in it is changed or removed'); END;
CREATE TRIGGER adoptions_no_update BEFORE UPDATE ON adoptions BEGIN SELECT RAISE(ABORT, 'adoptions is history: nothing in it is changed or removed'); END;
CREATE TRIGGER adoptions_no_delete BEFORE DELETE ON adoptions BEGIN SELECT RAISE(ABORT, 'adoptions is history: nothing in it is changed or removed'); END;
CREATE TRIGGER pins_no_update BEFORE UPDATE ON pins BEGIN SELECT RAISE(ABORT, 'pins is history: nothing in it is changed or removed'); END;
CREATE TRIGGER pins_no_delete BEFORE DELETE ON pins BEGIN SELECT RAISE(ABORT, 'pins is history: nothing in it is changed or removed'); END;
CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events is history: nothing in it is changed or removed'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events is history: nothing in it is changed or removed'); END;
CREATE INDEX ix_gaps_channel ON gaps (channel);
CREATE TRIGGER gaps_no_update BEFORE UPDATE ON gaps BEGIN SELECT RAISE(ABORT, 'gaps is history: nothing in it is changed or removed'); END;
CREATE TRIGGER gaps_no_delete BEFORE DELETE ON gaps BEGIN SELECT RAISE(ABORT, 'gaps is history: nothing in it is changed or removed'); END;
CREATE TRIGGER plans_no_update BEFORE UPDATE ON plans BEGIN SELECT RAISE(ABORT, 'plans is history: nothing in it is changed or removed'); END;
CREATE TRIGGER plans_no_delete BEFORE DELETE ON plans BEGIN SELECT RAISE(ABORT, 'plans is history: nothing in it is changed or removed'); END;
CREATE TRIGGER reports_no_update BEFORE UPDATE ON reports BEGIN SELECT RAISE(ABORT, 'reports is history: nothing in it is changed or removed'); END;
CREATE TRIGGER reports_no_delete BEFORE DELETE ON reports BEGIN SELECT RAISE(ABORT, 'reports is history: nothing in it is changed or removed'); END;
CREATE TRIGGER failures_no_update BEFORE UPDATE ON failures BEGIN SELECT RAISE(ABORT, 'failures is history: nothing in it is changed or removed'); END;
CREATE TRIGGER failures_no_delete BEFORE DELETE ON failures BEGIN SELECT RAISE(ABORT, 'failures is history: nothing in it is changed or removed'); END;
CREATE TRIGGER acknowledgements_no_update BEFORE UPDATE ON acknowledgements BEGIN SELECT RAISE(ABORT, 'acknowledgements is history: nothing in it is changed or removed'); END;
CREATE TRIGGER acknowledgements_no_delete BEFORE DELETE ON acknowledgements BEGIN SELECT RAISE(ABORT, 'acknowledgements is history: nothing in it is changed or removed'); END;
CREATE TRIGGER marks_no_update BEFORE UPDATE ON marks BEGIN SELECT RAISE(ABORT, 'marks is history: nothing in it is changed or removed'); END;
CREATE TRIGGER marks_no_delete BEFORE DELETE ON marks BEGIN SELECT RAISE(ABORT, 'marks is history: nothing in it is changed or removed'); END;
CREATE INDEX entries_by_account ON entries (account, mode, published);
CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries is history: nothing in it is changed or removed'); END;
CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries is history: nothing in it is changed or removed'); END;
CREATE INDEX ix_intents_of_plan ON intents (of_plan);
CREATE INDEX intents_by_contract ON intents (account, con_id, side);
CREATE INDEX intents_in_time ON intents (account, kept_at);
CREATE TRIGGER intents_no_update BEFORE UPDATE ON intents BEGIN SELECT RAISE(ABORT, 'intents is history: nothing in it is changed or removed'); END;
CREATE TRIGGER intents_no_delete BEFORE DELETE ON intents BEGIN SELECT RAISE(ABORT, 'intents is history: nothing in it is changed or removed'); END;
CREATE INDEX steps_by_entry ON steps (of_entry, ends);
CREATE TRIGGER steps_no_update BEFORE UPDATE ON steps BEGIN SELECT RAISE(ABORT, 'steps is history: nothing in it is changed or removed'); END;
CREATE TRIGGER steps_no_delete BEFORE DELETE ON steps BEGIN SELECT RAISE(ABORT, 'steps is history: nothing in it is changed or removed'); END;
CREATE TRIGGER evidence_no_update BEFORE UPDATE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is history: nothing in it is changed or removed'); END;
CREATE TRIGGER evidence_no_delete BEFORE DELETE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is history: nothing in it is changed or removed'); END;
CREATE INDEX ix_outcomes_of_intent ON outcomes (of_intent);
CREATE TRIGGER outcomes_no_update BEFORE UPDATE ON outcomes BEGIN SELECT RAISE(ABORT, 'outcomes is history: nothing in it is changed or removed'); END;
CREATE TRIGGER outcomes_no_delete BEFORE DELETE ON outcomes BEGIN SELECT RAISE(ABORT, 'outcomes is history: nothing in it is changed or removed'); END;
CREATE TRIGGER retractions_no_update BEFORE UPDATE ON retractions BEGIN SELECT RAISE(ABORT, 'retractions is history: nothing in it is changed or removed'); END;
CREATE TRIGGER retractions_no_delete BEFORE DELETE ON retractions BEGIN SELECT RAISE(ABORT, 'retractions is history: nothing in it is changed or removed'); END;
COMMIT;

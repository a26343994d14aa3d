const kept = [];
for (;;) kept.push({ text: String(kept.length) });

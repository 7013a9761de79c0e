// Keys and gamepads of this page, sent as "v_x v_y yaw" in shares of the ranges while they are held.
(() => {
  if (window.leggedCtsDrive) return; // the page was connected before
  window.leggedCtsDrive = true;
  const KEYS = {
    KeyW: [0, 1], ArrowUp: [0, 1], KeyS: [0, -1], ArrowDown: [0, -1],
    KeyA: [1, 1], KeyD: [1, -1],
    KeyQ: [2, 1], ArrowLeft: [2, 1], KeyE: [2, -1], ArrowRight: [2, -1],
  };
  const DEADZONE = 0.12, L1 = 4, R1 = 5, PERIOD = 100;
  const held = new Set();
  let socket = null, driving = false;

  const typing = (target) =>
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
  const onKey = (event) => {
    if (!(event.code in KEYS)) return;
    if (event.type === "keyup") held.delete(event.code);
    if (typing(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.type === "keydown") held.add(event.code);
    // The page's own camera moves by the same keys, and sliders by the arrows.
    event.stopImmediatePropagation();
    event.preventDefault();
    send();
  };
  window.addEventListener("keydown", onKey, true);
  window.addEventListener("keyup", onKey, true);
  // Nobody tells a page that a key was let go while another window had the keyboard.
  const drop = () => { held.clear(); send(); };
  window.addEventListener("blur", drop);
  document.addEventListener("visibilitychange", drop);

  const keys = () => {
    const shares = [0, 0, 0];
    for (const code of held) shares[KEYS[code][0]] += KEYS[code][1] * KEY_SHARE;
    return shares;
  };
  const stick = (value) => (Math.abs(value) < DEADZONE ? 0 : value);
  const pads = () => {
    for (const pad of navigator.getGamepads ? navigator.getGamepads() : [])
      // The dead man's button: without a shoulder button held, the sticks say nothing.
      if (pad && pad.connected && (pad.buttons[L1]?.pressed || pad.buttons[R1]?.pressed))
        return [-stick(pad.axes[1] ?? 0), -stick(pad.axes[0] ?? 0), -stick(pad.axes[2] ?? 0)];
    return null;
  };

  const send = () => {
    const pad = document.hasFocus() ? pads() : null;
    const shares = (pad ?? keys()).map((share) => Math.max(-1, Math.min(1, share)));
    const active = pad !== null || held.size > 0;
    if (!active && !driving) return;
    if (socket === null || socket.readyState > WebSocket.OPEN) {
      socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/drive");
    }
    // Not sent yet: the next turn sends what is held then.
    if (socket.readyState !== WebSocket.OPEN) { driving = active; return; }
    socket.send(shares.map((share) => share.toFixed(3)).join(" "));
    driving = active;
  };
  setInterval(send, PERIOD);
})();
